/* SPDX-License-Identifier: Apache-2.0 */
/* Where the queue listens: addresses that it binds, and sockets that somebody else has bound for
 * it. */
#include "tests/lib/gateway_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_a_unix_socket(void **state)
{
	struct gateway_fixture *f = gf_create();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char listen_unix[128];
	const char *listens[] = { listen_unix };
	const struct queue_gateway_options options = { .listens = listens, .listen_count = 1 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", f->folder);
	snprintf(listen_unix, sizeof(listen_unix), "unix:%s", address.sun_path);
	assert_int_equal(gf_open_gateway(f, options), 0);
	gf_start(f);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	gf_ask(fd, "put 0 0 10 1\r\na\r\n", "INSERTED 1\r\n");
	close(fd);
	gf_stop(f);
	assert_int_equal(access(address.sun_path, F_OK), -1);
	gf_destroy(f);
}

/* What a killed process left behind goes. What a living one listens at is its own, and stays. */
static void
test_a_unix_socket_in_use_is_left_alone(void **state)
{
	struct gateway_fixture *f = gf_create();
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int other = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	char listen_unix[128], error[DECREE_ERROR_BYTES];
	const char *listens[] = { listen_unix };
	const struct queue_gateway_options options = {
		.listens = listens, .listen_count = 1, .node_id = 1
	};
	struct queue_gateway *g;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", f->folder);
	snprintf(listen_unix, sizeof(listen_unix), "unix:%s", address.sun_path);
	assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(queue_gateway_create(&options, &g, error), -EADDRINUSE);
	assert_non_null(strstr(error, "name another path"));
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	close(client);
	close(other);
	assert_int_equal(gf_open_gateway(f, options), 0);
	gf_start(f);
	gf_stop(f);
	gf_destroy(f);
}

static void
test_addresses(void **state)
{
	static const char *const bad[] = { "", "7", ":7", "127.0.0.1:", "::1:7", "[::1:7",
		"unix:", "127.0.0.1:x", "127.0.0.1:0:" };
	struct queue_gateway_options options = { .listen_count = 1, .node_id = 1 };
	struct queue_gateway *g;
	char error[DECREE_ERROR_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options.listens = &bad[i];
		error[0] = 0;
		assert_true(queue_gateway_create(&options, &g, error) < 0);
		assert_non_null(strstr(error, "cannot listen on"));
	}
	options.listen_count = 0;
	options.job_bytes_max = 5u << 20;
	assert_int_equal(queue_gateway_create(&options, &g, error), -EINVAL);
}

static void
test_names(void **state)
{
	static const char *const listens[] = { "localhost:0", "[::1]:0" };
	const struct queue_gateway_options options = { .listens = listens, .listen_count = 2 };
	struct gateway_fixture *f = gf_create();
	char wanted[64];

	(void)state;
	assert_int_equal(gf_open_gateway(f, options), 0);
	snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", queue_gateway_port(f->gateway, 0));
	assert_string_equal(queue_gateway_address(f->gateway, 0), wanted);
	snprintf(wanted, sizeof(wanted), "[::1]:%u", queue_gateway_port(f->gateway, 1));
	assert_string_equal(queue_gateway_address(f->gateway, 1), wanted);
	assert_int_not_equal(queue_gateway_port(f->gateway, 1), 0);
	assert_null(queue_gateway_address(f->gateway, 2));
	gf_destroy(f);
}

/* ---- sockets of somebody else ---- */

static int
bound(const struct sockaddr *address, socklen_t bytes, int type)
{
	int fd = socket(address->sa_family, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, address, bytes), 0);
	return fd;
}

static int
bound_to_loopback(int type)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return bound((const struct sockaddr *)&address, sizeof(address), type);
}

/* They block, as systemd makes them; whoever has connected before is served, too. */
static void
test_sockets_are_taken_over(void **state)
{
	struct gateway_fixture *f = gf_create();
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	struct sockaddr_in port;
	struct queue_socket sockets[2];
	const struct queue_gateway_options options = { .sockets = sockets, .socket_count = 2 };
	int early = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t bytes = sizeof(port);
	char wanted[128];

	(void)state;
	snprintf(path.sun_path, sizeof(path.sun_path), "%s/socket", f->folder);
	sockets[0] = (struct queue_socket){ .fd = bound_to_loopback(SOCK_STREAM) };
	sockets[1] = (struct queue_socket){ .fd = bound((const struct sockaddr *)&path,
						    sizeof(path), SOCK_STREAM) };
	for (int i = 0; i < 2; i++)
		assert_int_equal(listen(sockets[i].fd, 16), 0);
	assert_int_equal(getsockname(sockets[0].fd, (struct sockaddr *)&port, &bytes), 0);
	assert_int_equal(connect(early, (struct sockaddr *)&port, sizeof(port)), 0);
	assert_int_equal(gf_open_gateway(f, options), 0);
	assert_int_equal(queue_gateway_port(f->gateway, 0), ntohs(port.sin_port));
	snprintf(wanted, sizeof(wanted), "unix:%s", path.sun_path);
	assert_string_equal(queue_gateway_address(f->gateway, 1), wanted);
	gf_start(f);
	gf_ask(early, "put 0 0 10 1\r\na\r\n", "INSERTED 1\r\n");
	assert_int_equal(connect(local, (struct sockaddr *)&path, sizeof(path)), 0);
	gf_ask(local, "put 0 0 10 1\r\nb\r\n", "INSERTED 2\r\n");
	close(early);
	close(local);
	gf_stop(f);
	assert_int_equal(access(path.sun_path, F_OK), 0); /* whoever made it listens there still */
	gf_destroy(f);
}

static void
check_refusal(struct queue_socket socket, const char *text)
{
	const struct queue_gateway_options options = {
		.sockets = &socket, .socket_count = 1, .node_id = 1
	};
	char error[DECREE_ERROR_BYTES] = "";
	struct queue_gateway *g;

	assert_int_equal(queue_gateway_create(&options, &g, error), -EINVAL);
	if (strstr(error, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, text);
	close(socket.fd);
}

static void
test_sockets_that_do_not_do(void **state)
{
	struct queue_socket secret = { .fd = bound_to_loopback(SOCK_STREAM), .is_tls = true };
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	check_refusal((struct queue_socket){ .fd = ends[0] }, "no stream socket that listens");
	close(ends[1]);
	check_refusal((struct queue_socket){ .fd = bound_to_loopback(SOCK_STREAM) },
		"no stream socket that listens");
	check_refusal((struct queue_socket){ .fd = bound_to_loopback(SOCK_DGRAM) },
		"no stream socket that listens");
	assert_int_equal(listen(secret.fd, 1), 0);
	check_refusal(secret, "TLS needs a certificate");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_unix_socket),
		cmocka_unit_test(test_a_unix_socket_in_use_is_left_alone),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sockets_are_taken_over),
		cmocka_unit_test(test_sockets_that_do_not_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
