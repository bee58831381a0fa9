/* SPDX-License-Identifier: Apache-2.0 */
/* A client's options from programs that were compiled against other versions of the header. */
#include "decree/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char config_path[] = "/tmp/decree-client-XXXXXX";
static char error[DECREE_ERROR_BYTES];

static struct decree_client_options
sound_options(void)
{
	return (struct decree_client_options){ .struct_bytes = sizeof(struct decree_client_options),
		.config_path = config_path };
}

static void
open_and_close(const struct decree_client_options *options)
{
	struct decree_client *client = NULL;

	assert_int_equal(decree_client_open(options, &client, error), 0);
	decree_client_close(client);
}

static void
test_options_of_an_older_version_are_taken(void **state)
{
	struct decree_client_options options = sound_options();

	(void)state;
	options.struct_bytes = offsetof(struct decree_client_options, group);
	options.group = 77; /* which there is not: it lies behind the structure of that version */
	open_and_close(&options);
}

static void
test_options_of_a_newer_version_are_taken_if_they_use_nothing_new(void **state)
{
	struct {
		struct decree_client_options known;
		uint64_t added;
	} options = { sound_options(), 0 };
	struct decree_client *client = NULL;

	(void)state;
	options.known.struct_bytes = sizeof(options);
	open_and_close(&options.known);
	options.added = 1;
	assert_int_equal(decree_client_open(&options.known, &client, error), -EINVAL);
	assert_non_null(strstr(error, "this version of decree does not know"));
}

static void
test_options_without_a_size_are_refused(void **state)
{
	struct decree_client_options options = sound_options();
	struct decree_client *client = NULL;

	(void)state;
	options.struct_bytes = 0;
	assert_int_equal(decree_client_open(&options, &client, error), -EINVAL);
	assert_non_null(strstr(error, "struct_bytes"));
}

static int
setup(void **state)
{
	static const char text[] = "[cluster]\nid = 1\nauth = none\n[node 1]\nip = 127.0.0.1\n";
	int fd = mkstemp(config_path);

	(void)state;
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(config_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_of_an_older_version_are_taken),
		cmocka_unit_test(test_options_of_a_newer_version_are_taken_if_they_use_nothing_new),
		cmocka_unit_test(test_options_without_a_size_are_refused),
	};

	return cmocka_run_group_tests_name("client_options", tests, setup, teardown);
}
