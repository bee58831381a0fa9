/* SPDX-License-Identifier: Apache-2.0 */
/* decree_format() on a real disk: what it makes is there after a power cut, and what it has not
 * made is left alone. */
#include "decree/setup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], ini[96], shard[96], name[128], error[DECREE_ERROR_BYTES];
static ino_t parent;
static bool is_parent_synced, comes_another;

static const char text[] = "[cluster]\nid = c0ffee\nauth = none\n[node 1]\nip = 127.0.0.1\n"
			   "[local]\nport = net_af_packet0,iface=lo\nnode = 1\ndata_dir = data\n"
			   "log_bytes = 4M\nsegment_bytes = 1M\n";

int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_getrandom(void *buffer, size_t bytes, unsigned int flags);
ssize_t __wrap_getrandom(void *buffer, size_t bytes, unsigned int flags);

int
__wrap_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	is_parent_synced |= st.st_ino == parent;
	return __real_fsync(fd);
}

/* Asked for once format has seen that there is no folder yet: then another one is faster. */
ssize_t
__wrap_getrandom(void *buffer, size_t bytes, unsigned int flags)
{
	if (comes_another) {
		assert_int_equal(mkdir(shard, 0700), 0);
		assert_int_equal(mkdir(name, 0700), 0);
	}
	comes_another = false;
	return __real_getrandom(buffer, bytes, flags);
}

static int
setup(void **state)
{
	struct stat st;
	FILE *file;

	(void)state;
	strcpy(folder, "format-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(ini, sizeof(ini), "%s/d.ini", folder);
	snprintf(shard, sizeof(shard), "%s/data/shard-0", folder);
	snprintf(name, sizeof(name), "%s/data/shard-0/its", folder);
	file = fopen(ini, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(stat(folder, &st), 0);
	parent = st.st_ino;
	is_parent_synced = false;
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf ./%s", folder);
	return system(command);
}

/* The number that format prints is in the others' files by then. */
static void
test_the_name_of_the_directory_is_on_the_disk(void **state)
{
	uint64_t disk;

	(void)state;
	if (decree_format(ini, NULL, 0, false, &disk, error) != 0)
		fail_msg("%s", error);
	assert_true(is_parent_synced);
}

/* Two at a time, both in the belief that there is nothing yet: one of them makes it, and the other
 * one must not take that for its own when it fails. */
static void
test_another_ones_folder_is_left_alone(void **state)
{
	uint64_t disk;

	(void)state;
	comes_another = true;
	assert_int_equal(decree_format(ini, NULL, 0, false, &disk, error), -EEXIST);
	assert_non_null(strstr(error, "already formatted"));
	assert_int_equal(access(name, F_OK), 0);
	snprintf(name, sizeof(name), "%s/identity", shard);
	assert_int_equal(access(name, F_OK), -1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_name_of_the_directory_is_on_the_disk),
		TEST(test_another_ones_folder_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
