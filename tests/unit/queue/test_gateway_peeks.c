/* SPDX-License-Identifier: Apache-2.0 */
/* Peeks at bodies that no answer has room for: whole, and of a job that was there. */
#include "tests/lib/gateway_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BODY_BYTES 20000

/* No body has room in the handover: all of them come in pieces. */
static int
setup_without_room(void **state)
{
	return gf_setup_without_room(state, BODY_BYTES);
}

/* Its letters say which job it is. */
static const char *
body_of(int id)
{
	static char body[BODY_BYTES + 3];

	for (int i = 0; i < BODY_BYTES; i++)
		body[i] = (char)('a' + (id + i / 100) % 26);
	memcpy(body + BODY_BYTES, "\r\n", 3);
	return body;
}

static void
put(int fd, int id)
{
	char text[BODY_BYTES + 64], line[64];

	/* In one piece: two would wait for the other side's kernel to acknowledge the first. */
	snprintf(text, sizeof(text), "put 0 0 1000 %d\r\n%s", BODY_BYTES, body_of(id));
	gf_say(fd, text);
	snprintf(line, sizeof(line), "INSERTED %d\r\n", id);
	gf_hear(fd, line);
}

static void
hear_job(int fd, const char *word, int id)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %d %d\r\n", word, id, BODY_BYTES);
	gf_hear(fd, line);
	gf_hear(fd, body_of(id));
}

/* @return the job that was found */
static int
hear_any_job(int fd)
{
	char line[64] = { 0 };
	int id = 0;

	for (size_t at = 0; at == 0 || line[at - 1] != '\n'; at++) {
		assert_true(at < sizeof(line) - 1);
		assert_int_equal(gf_hear_some(fd, line + at, 1), 1);
	}
	if (sscanf(line, "FOUND %d 20000", &id) != 1)
		fail_msg("%s", line);
	gf_hear(fd, body_of(id));
	return id;
}

/* Before one job goes another one is there, so there is always a first one. */
static void
test_a_busy_tube_is_never_empty(void **state)
{
	int worker = gf_client(*state), watcher = gf_client(*state);
	char line[64];

	put(worker, 1);
	for (int i = 1; i <= 300; i++) {
		put(worker, i + 1);
		snprintf(line, sizeof(line), "delete %d\r\n", i);
		gf_say(watcher, "peek-ready\r\n");
		gf_ask(worker, line, "DELETED\r\n");
		assert_in_range(hear_any_job(watcher), i, i + 1);
	}
	close(worker);
	close(watcher);
}

static void
test_all_kinds_of_peeks(void **state)
{
	int fd = gf_client(*state);

	put(fd, 1);
	put(fd, 2);
	put(fd, 3);
	gf_say(fd, "reserve-job 2\r\nrelease 2 0 1000\r\nreserve-job 3\r\nbury 3 0\r\n"
		   "peek 2\r\npeek-ready\r\npeek-buried\r\npeek-delayed\r\npeek 3\r\npeek 4\r\n");
	hear_job(fd, "RESERVED", 2);
	gf_hear(fd, "RELEASED\r\n");
	hear_job(fd, "RESERVED", 3);
	gf_hear(fd, "BURIED\r\n");
	hear_job(fd, "FOUND", 2);
	hear_job(fd, "FOUND", 1);
	hear_job(fd, "FOUND", 3);
	hear_job(fd, "FOUND", 2);
	hear_job(fd, "FOUND", 3);
	gf_hear(fd, "NOT_FOUND\r\n");
	gf_ask(fd, "use empty\r\npeek-ready\r\n", "USING empty\r\nNOT_FOUND\r\n");
	close(fd);
}

/* What was found for it comes to nobody else. */
static void
test_who_peeks_and_goes(void **state)
{
	int fd = gf_client(*state);

	put(fd, 1);
	for (int i = 0; i < 200; i++) {
		int other = gf_client(*state);

		gf_say(other, "peek 1\r\npeek-ready\r\n");
		close(other);
		gf_say(fd, "peek-ready\r\nlist-tube-used\r\n");
		hear_job(fd, "FOUND", 1);
		gf_hear(fd, "USING default\r\n");
	}
	close(fd);
}

int
main(void)
{
#define TEST(name)    cmocka_unit_test_setup_teardown(name, gf_setup, gf_teardown)
#define NO_ROOM(name) cmocka_unit_test_setup_teardown(name, setup_without_room, gf_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_busy_tube_is_never_empty),
		TEST(test_all_kinds_of_peeks),
		TEST(test_who_peeks_and_goes),
		NO_ROOM(test_a_busy_tube_is_never_empty),
		NO_ROOM(test_all_kinds_of_peeks),
		NO_ROOM(test_who_peeks_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
