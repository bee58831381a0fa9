/* SPDX-License-Identifier: Apache-2.0 */
/* What the log concludes from what the kernel says about a device: a made-up /sys/dev/block in the
 * current directory. */
#include "wal/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DISK_FOLDER "devices/pci0/block/nvme0n1"

static char root[64];

static void
path_of(char *to, size_t capacity, const char *name)
{
	snprintf(to, capacity, "%s/%s", root, name);
}

static void
folder_make(const char *name)
{
	char path[256];

	path_of(path, sizeof(path), name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
attribute_set(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	path_of(path, sizeof(path), DISK_FOLDER "/queue/");
	strncat(path, name, sizeof(path) - strlen(path) - 1);
	if (text == NULL) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fprintf(file, "%s\n", text) > 0);
	assert_int_equal(fclose(file), 0);
}

static void
entry_make(const char *number, const char *target)
{
	char path[256];

	path_of(path, sizeof(path), number);
	assert_int_equal(symlink(target, path), 0);
}

/* A disk 259:0, and a partition of it, 259:1. */
static int
setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "sysXXXXXX");
	assert_non_null(mkdtemp(root));
	folder_make("devices");
	folder_make("devices/pci0");
	folder_make("devices/pci0/block");
	folder_make(DISK_FOLDER);
	folder_make(DISK_FOLDER "/queue");
	folder_make(DISK_FOLDER "/nvme0n1p1");
	entry_make("259:0", DISK_FOLDER);
	entry_make("259:1", DISK_FOLDER "/nvme0n1p1");
	attribute_set("write_cache", "write back");
	attribute_set("fua", "0");
	attribute_set("logical_block_size", "512");
	attribute_set("physical_block_size", "4096");
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command);
}

static void
expect_sentence(const struct wal_device *device, const char *words)
{
	char sentence[WAL_DEVICE_SENTENCE_BYTES];

	wal_device_sentence(device, sentence);
	if (strstr(sentence, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, sentence);
}

/* Whatever completed before a flush is durable after it: identifiers may ride along with data. */
static void
test_cache_without_fua_is_flushed_as_a_whole(void **state)
{
	struct wal_device device;

	(void)state;
	wal_device_probe(root, 259, 0, &device);
	assert_string_equal(device.name, "nvme0n1");
	assert_int_equal(device.cache, WAL_DEVICE_CACHE_BACK);
	assert_false(device.has_fua);
	assert_int_equal(device.logical_block_bytes, 512);
	assert_int_equal(device.physical_block_bytes, 4096);
	assert_true(wal_device_flushes_all(&device));
	expect_sentence(&device, "nvme0n1 has a volatile write cache and no FUA");
	expect_sentence(&device, "a write and a flush (blocks of 512 bytes, physically 4096)");
}

/* FUA makes its own write durable, and nothing else. */
static void
test_fua_does_not_stand_for_other_writes(void **state)
{
	struct wal_device device;

	(void)state;
	attribute_set("fua", "1");
	wal_device_probe(root, 259, 0, &device);
	assert_true(device.has_fua);
	assert_false(wal_device_flushes_all(&device));
	expect_sentence(&device, "a volatile write cache and FUA: a durable write is one write");
}

static void
test_without_a_volatile_cache_every_write_is_durable(void **state)
{
	struct wal_device device;

	(void)state;
	attribute_set("write_cache", "write through");
	wal_device_probe(root, 259, 0, &device);
	assert_int_equal(device.cache, WAL_DEVICE_CACHE_THROUGH);
	assert_true(wal_device_flushes_all(&device));
	expect_sentence(&device, "no volatile write cache: a durable write is one write");
}

static void
test_a_partition_is_its_disk_s(void **state)
{
	struct wal_device device;

	(void)state;
	attribute_set("fua", "1");
	wal_device_probe(root, 259, 1, &device);
	assert_string_equal(device.name, "nvme0n1p1");
	assert_int_equal(device.cache, WAL_DEVICE_CACHE_BACK);
	assert_true(device.has_fua);
	assert_int_equal(device.physical_block_bytes, 4096);
}

/* overlayfs and btrfs have numbers of no device; a kernel may have words that are not known here. */
static void
test_what_is_not_told_is_taken_to_be_the_worst(void **state)
{
	struct wal_device device;

	(void)state;
	wal_device_probe(root, 0, 42, &device);
	assert_string_equal(device.name, "0:42");
	assert_int_equal(device.cache, WAL_DEVICE_CACHE_UNKNOWN);
	assert_int_equal(device.logical_block_bytes, 0);
	assert_false(wal_device_flushes_all(&device));
	expect_sentence(&device, "device 0:42: the kernel does not tell");

	attribute_set("write_cache", "write sideways");
	wal_device_probe(root, 259, 0, &device);
	assert_int_equal(device.cache, WAL_DEVICE_CACHE_UNKNOWN);
	assert_false(wal_device_flushes_all(&device));

	attribute_set("write_cache", NULL);
	wal_device_probe(root, 259, 0, &device);
	assert_false(wal_device_flushes_all(&device));
	expect_sentence(&device, "each write is made durable by itself");
}

static void
test_a_folder_has_a_device(void **state)
{
	struct wal_device device;

	(void)state;
	assert_int_equal(wal_device_of(root, &device), 0);
	assert_true(device.name[0] != '\0');
	assert_true(wal_device_of("no such folder", &device) < 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cache_without_fua_is_flushed_as_a_whole),
		T(test_fua_does_not_stand_for_other_writes),
		T(test_without_a_volatile_cache_every_write_is_durable),
		T(test_a_partition_is_its_disk_s),
		T(test_what_is_not_told_is_taken_to_be_the_worst),
		T(test_a_folder_has_a_device),
	};

	return cmocka_run_group_tests_name("wal device", tests, NULL, NULL);
}
