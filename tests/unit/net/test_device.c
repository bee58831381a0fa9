/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/common.h"

#include "net/device.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TOLD 1518u /* what the drivers of software say, whatever they have room for */

/* A frame that is larger than the room is lost in silence, and with it every slot that is full. */
static void
test_room_is_what_the_device_was_given(void **state)
{
	static const struct {
		const char *device;
		uint32_t bytes;
	} rows[] = {
		{ "net_memif0,role=client,id=0,socket=/run/a", TOLD },
		{ "net_memif0,role=client,bsize=9216,socket=/run/a", 9216 },
		{ "net_memif0,role=client,bsize=1024", TOLD },
		{ "net_memif0,role=client,bsize=70000", TOLD },
		{ "net_memif0,bsize=much", TOLD },
		{ "net_af_packet0,iface=eth0", TOLD },
		{ "net_af_packet0,iface=eth0,blocksz=36864,framesz=9216,framecnt=512", 9088 },
		{ "net_af_packet0,iface=eth0,bsize=9216", TOLD },
		{ "net_af_xdp0,iface=eth0,framesz=9216", TOLD },
		{ "0000:3b:00.0", TOLD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(device_frame_bytes(rows[i].device, TOLD), rows[i].bytes);
	assert_int_equal(device_frame_bytes("0000:3b:00.0", 9728), 9728);
}

/* Who waits for the other one's socket, and what to add to a port whose room is too small. */
static void
test_drivers_are_told_apart(void **state)
{
	(void)state;
	assert_true(device_is_memif("net_memif3,role=client"));
	assert_false(device_is_memif_server("net_memif3,role=client"));
	assert_true(device_is_memif_server("net_memif3,role=server"));
	assert_true(device_is_memif_server("net_memif3,role=master"));
	assert_false(device_is_memif("net_af_packet0,iface=eth0"));
	assert_false(device_is_memif_server("net_vhost0,role=server"));
	assert_non_null(strstr(device_room_advice("net_memif3,role=client"), "bsize="));
	assert_non_null(strstr(device_room_advice("net_af_packet0,iface=eth0"), "framesz="));
	assert_string_equal(device_room_advice("0000:3b:00.0"), "");
}

/* A connection that is half made must not be begun anew; one that its server has ended must. */
static void
test_a_memif_clients_connection_is_found(void **state)
{
	static const char device[] =
		"net_memif3,role=client,id=0,socket=/elsewhere/m13,mac=2:0:0:0:0:3";
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "m13" };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)state;
	(void)unlink(address.sun_path); /* of a run that was killed */
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_false(device_has_connection(device));
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(device_has_connection(device)); /* though nobody has accepted it yet */
	assert_true(device_has_connection("net_memif3,socket=m13"));
	assert_false(device_has_connection("net_memif3,role=client,socket=/elsewhere/m1"));
	assert_false(device_has_connection("net_memif3,role=client"));
	close(client);
	assert_false(device_has_connection(device));
	close(listener);
	(void)unlink(address.sun_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drivers_are_told_apart),
		cmocka_unit_test(test_a_memif_clients_connection_is_found),
		cmocka_unit_test(test_room_is_what_the_device_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
