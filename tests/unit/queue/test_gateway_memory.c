/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway has no memory for once: a client hears what is true, or that its connection ends. */
#include "tests/lib/gateway_fixture.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BODY_BYTES 3000

/* Allocations of libevent's until one fails; 0: none does. */
static _Atomic int fail_in;

static bool
fails(void)
{
	int left = atomic_load(&fail_in);

	while (left > 0)
		if (atomic_compare_exchange_weak(&fail_in, &left, left - 1))
			return left == 1;
	return false;
}

static void *
allocate(size_t bytes)
{
	return fails() ? NULL : malloc(bytes);
}

static void *
reallocate(void *block, size_t bytes)
{
	return fails() ? NULL : realloc(block, bytes);
}

#define REPLY_COUNT 8
#define REPLY_BYTES (BODY_BYTES + 64)

static const char no_memory[] = "OUT_OF_MEMORY\r\n", last[] = "DELETED\r\n";

/* What a client says, and its replies; a read may also be answered with OUT_OF_MEMORY. */
struct talk {
	char said[2 * BODY_BYTES];
	char replies[REPLY_COUNT][REPLY_BYTES];
	bool is_read[REPLY_COUNT];
};

/* @param id  of the job that is put, and the name of its tube */
static void
prepare(struct talk *t, int id)
{
	char body[BODY_BYTES + 1] = { 0 };

	memset(body, 'a' + id % 26, BODY_BYTES);
	*t = (struct talk){ .is_read = { false, true, true, true } };
	snprintf(t->said, sizeof(t->said),
		"put 0 0 1000 %d\r\n%s\r\npeek-ready\r\nlist-tube-used\r\nlist-tubes-watched\r\n"
		"reserve\r\nnonsense\r\nkick 5\r\ndelete %d\r\n",
		BODY_BYTES, body, id);
	snprintf(t->replies[0], REPLY_BYTES, "INSERTED %d\r\n", id);
	snprintf(t->replies[1], REPLY_BYTES, "FOUND %d %d\r\n%s\r\n", id, BODY_BYTES, body);
	snprintf(t->replies[2], REPLY_BYTES, "USING t%d\r\n", id);
	snprintf(t->replies[3], REPLY_BYTES, "OK %d\r\n---\n- t%d\n\r\n",
		snprintf(NULL, 0, "---\n- t%d\n", id), id);
	snprintf(t->replies[4], REPLY_BYTES, "RESERVED %d %d\r\n%s\r\n", id, BODY_BYTES, body);
	strcpy(t->replies[5], "UNKNOWN_COMMAND\r\n");
	strcpy(t->replies[6], "KICKED 0\r\n");
	strcpy(t->replies[7], last);
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Everything up to the last reply or the end of the connection: whole replies in their order, and
 * at the end of a connection perhaps a part of one. @return whether it was answered whole */
static bool
hear_all(int fd, const struct talk *t)
{
	static char got[REPLY_COUNT * REPLY_BYTES];
	const char *at = got;
	size_t count = 0, some = 1;

	memset(got, 0, sizeof(got));
	while (some > 0 && strstr(got, last) == NULL) {
		some = gf_hear_some(fd, got + count, sizeof(got) - 1 - count);
		count += some;
	}
	for (int i = 0; i < REPLY_COUNT; i++) {
		if (begins(at, t->replies[i])) {
			at += strlen(t->replies[i]);
		} else if (t->is_read[i] && begins(at, no_memory)) {
			at += strlen(no_memory);
		} else {
			assert_int_equal(some, 0);
			assert_memory_equal(at, t->replies[i], strlen(at));
			return false;
		}
	}
	assert_string_equal(at, "");
	return true;
}

/* @return whether it was answered whole */
static bool
converse(struct gateway_fixture *f, int id, int fail_at)
{
	static struct talk t;
	int fd = gf_client(f);
	char said[128], told[128];
	bool is_whole;

	/* It is open, and has a tube of its own. */
	snprintf(said, sizeof(said), "use t%d\r\nwatch t%d\r\nignore default\r\n", id, id);
	snprintf(told, sizeof(told), "USING t%d\r\nWATCHING 2\r\nWATCHING 1\r\n", id);
	gf_ask(fd, said, told);
	prepare(&t, id);
	atomic_store(&fail_in, fail_at);
	gf_say(fd, t.said);
	is_whole = hear_all(fd, &t);
	atomic_store(&fail_in, 0);
	close(fd);
	return is_whole;
}

static void
test_no_reply_is_lost_alone(void **state)
{
	struct gateway_fixture *f = *state;
	int broken = 0, other;

	for (int n = 1, id = 1; n <= 60; n++) {
		broken += !converse(f, id, n);
		/* One that failed may have been before its put. */
		other = gf_client(f);
		id = (int)gf_stat_of(other, "stats\r\n", "total-jobs") + 1;
		close(other);
	}
	assert_in_range(broken, 1, 59);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_reply_is_lost_alone, gf_setup, gf_teardown),
	};

	event_set_mem_functions(allocate, reallocate, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
