/* SPDX-License-Identifier: Apache-2.0 */
/* A log directory of another node, another cluster or other constants is told apart, with a remedy. */
#include "engine/runtime/identity.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char error[DECREE_ERROR_BYTES];

static const struct config config = { .path = "d.ini",
	.cluster_id = 5,
	.node_id = 2,
	.shard_count = 2,
	.group_count = 4,
	.slot_bytes = 1328,
	.alpha = 1024,
	.session_count = 512,
	.session_window = 4096,
	.command_bytes_max = 65536 };

static struct identity
decoded(void)
{
	const struct decree_uuid disk = { .bytes = "0123456789abcde" };
	struct identity identity = identity_of_config(&config, 1, &disk);
	uint8_t blob[IDENTITY_BYTES];

	identity_encode(&identity, blob);
	memset(&identity, 0, sizeof(identity));
	assert_int_equal(identity_decode(blob, sizeof(blob), &identity), 0);
	return identity;
}

static void
test_the_own_log_is_accepted(void **state)
{
	struct identity identity = decoded();

	(void)state;
	assert_memory_equal(identity.disk.bytes, "0123456789abcde", 16);
	assert_int_equal(identity_check(&identity, &config, 1, "/d/shard-1", error), 0);
}

static void
test_another_clusters_log_is_refused(void **state)
{
	struct identity identity = decoded();

	(void)state;
	identity.cluster_id = 0xbad;
	assert_int_equal(identity_check(&identity, &config, 1, "/d/shard-1", error), -EXDEV);
	assert_non_null(strstr(error, "/d/shard-1 belongs to cluster bad, but d.ini says id = 5"));
}

static void
test_another_nodes_log_is_refused(void **state)
{
	struct identity identity = decoded();

	(void)state;
	identity.node_id = 3;
	assert_int_equal(identity_check(&identity, &config, 1, "/d/shard-1", error), -EXDEV);
	assert_non_null(strstr(error, "belongs to node 3"));
}

static void
test_swapped_folders_are_refused(void **state)
{
	struct identity identity = decoded();

	(void)state;
	assert_int_equal(identity_check(&identity, &config, 0, "/d/shard-0", error), -EXDEV);
}

static void
test_changed_constants_are_refused_by_name(void **state)
{
	struct identity identity = decoded();

	(void)state;
	identity.slot_bytes = 1000;
	assert_int_equal(identity_check(&identity, &config, 1, "/d/shard-1", error), -EINVAL);
	assert_non_null(strstr(error, "slot_bytes = 1000"));
}

static void
test_peers_with_other_constants_differ(void **state)
{
	struct identity mine = decoded();
	struct identity theirs = mine;

	(void)state;
	theirs.node_id = 3;
	theirs.disk.bytes[0] ^= 1;
	assert_null(identity_difference(&mine, &theirs));
	theirs.alpha++;
	assert_string_equal(identity_difference(&mine, &theirs), "alpha");
}

/* A follower that keeps no leases, or shorter ones, would break those of its leader. */
static void
test_peers_agree_on_leases_and_disks_know_none(void **state)
{
	struct config c = config;
	struct identity disk = decoded();
	struct identity mine = disk;
	struct identity theirs;

	(void)state;
	c.lease_ns = 100000000;
	c.max_drift_ppm = 1000;
	assert_int_equal(identity_check(&disk, &c, 1, "/d/shard-1", error), 0);
	identity_add_leases(&mine, &c);
	theirs = mine;
	assert_null(identity_difference(&mine, &theirs));
	theirs.lease_ms = 90;
	assert_string_equal(identity_difference(&mine, &theirs), "lease_ms");
	theirs = mine;
	theirs.max_drift_ppm = 100;
	assert_string_equal(identity_difference(&mine, &theirs), "max_drift_ppm");
	c.lease_ns = 0; /* then the drift does not matter */
	theirs = disk;
	identity_add_leases(&theirs, &c);
	assert_null(identity_difference(&disk, &theirs));
}

static void
test_every_reserved_or_magic_byte_counts(void **state)
{
	struct identity identity = decoded();
	uint8_t blob[IDENTITY_BYTES];

	(void)state;
	for (uint32_t i = 0; i < IDENTITY_BYTES; i++) {
		bool is_free = (i >= 12 && i < 14) || (i >= 16 && i < 40) || (i >= 48 && i < 74) ||
			       (i >= 76 && i < 92);

		identity_encode(&identity, blob);
		blob[i] ^= 0x40;
		assert_int_equal(
			identity_decode(blob, sizeof(blob), &identity), is_free ? 0 : -EBADMSG);
	}
	assert_int_equal(identity_decode(blob, sizeof(blob) - 1, &identity), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_own_log_is_accepted),
		cmocka_unit_test(test_another_clusters_log_is_refused),
		cmocka_unit_test(test_another_nodes_log_is_refused),
		cmocka_unit_test(test_swapped_folders_are_refused),
		cmocka_unit_test(test_changed_constants_are_refused_by_name),
		cmocka_unit_test(test_peers_with_other_constants_differ),
		cmocka_unit_test(test_peers_agree_on_leases_and_disks_know_none),
		cmocka_unit_test(test_every_reserved_or_magic_byte_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
