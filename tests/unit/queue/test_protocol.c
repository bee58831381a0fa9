/* SPDX-License-Identifier: Apache-2.0 */
/* The parser gives each client what beanstalkd gives it, however its bytes are cut; and the fields
 * of what is right. */
#include "queue/protocol.h"
#include "tests/lib/beanstalk_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ------------------------------------------------------------------- a server of one connection */

#define WATCHED_MAX 4

/* It has two tubes that everybody knows, and no job that could be found. */
struct server {
	struct queue_parser parser;
	char used[QUEUE_NAME_BYTES_MAX + 1];
	char watched[WATCHED_MAX][QUEUE_NAME_BYTES_MAX + 1];
	uint32_t watched_count;
	uint32_t body_bytes; /* still to come */
	bool is_closed;
	char replies[4096];
	size_t replies_bytes;
};

static void
server_init(struct server *s)
{
	memset(s, 0, sizeof(*s));
	queue_parser_init(&s->parser, QUEUE_JOB_BYTES_MAX_DEFAULT);
	strcpy(s->used, "default");
	strcpy(s->watched[0], "default");
	s->watched_count = 1;
}

static void
say(struct server *s, const char *text, size_t bytes)
{
	assert_true(bytes != 0);
	assert_true(s->replies_bytes + bytes <= sizeof(s->replies));
	memcpy(s->replies + s->replies_bytes, text, bytes);
	s->replies_bytes += bytes;
}

static void
say_word(struct server *s, enum queue_reply reply)
{
	char line[QUEUE_REPLY_BYTES_MAX];

	say(s, line, queue_reply_word(reply, line, sizeof(line)));
}

static void
say_using(struct server *s)
{
	char line[QUEUE_REPLY_BYTES_MAX];

	say(s, line, queue_reply_using(s->used, (uint32_t)strlen(s->used), line, sizeof(line)));
}

static void
say_watching(struct server *s)
{
	char line[QUEUE_REPLY_BYTES_MAX];

	say(s, line, queue_reply_watching(s->watched_count, line, sizeof(line)));
}

static void
copy_name(char *ret, const struct queue_request *r)
{
	assert_in_range(r->name_bytes, 1, QUEUE_NAME_BYTES_MAX);
	memcpy(ret, r->name, r->name_bytes);
	ret[r->name_bytes] = '\0';
}

/* @return index of the tube among those watched, or how many there are */
static uint32_t
find_watched(const struct server *s, const char *name)
{
	uint32_t i = 0;

	while (i < s->watched_count && strcmp(s->watched[i], name) != 0)
		i++;
	return i;
}

static void
on_watch(struct server *s, const struct queue_request *r)
{
	char name[QUEUE_NAME_BYTES_MAX + 1];

	copy_name(name, r);
	if (find_watched(s, name) == s->watched_count) {
		assert_true(s->watched_count < WATCHED_MAX);
		strcpy(s->watched[s->watched_count++], name);
	}
	say_watching(s);
}

static void
on_ignore(struct server *s, const struct queue_request *r)
{
	char name[QUEUE_NAME_BYTES_MAX + 1];
	uint32_t i;

	copy_name(name, r);
	i = find_watched(s, name);
	if (i == s->watched_count) {
		say_watching(s);
	} else if (s->watched_count == 1) {
		say_word(s, QUEUE_REPLY_NOT_IGNORED);
	} else {
		strcpy(s->watched[i], s->watched[--s->watched_count]);
		say_watching(s);
	}
}

static void
on_list_watched(struct server *s)
{
	char yaml[1024], line[QUEUE_REPLY_BYTES_MAX];
	size_t bytes = queue_yaml_list(yaml, sizeof(yaml));

	for (uint32_t i = 0; i < s->watched_count; i++)
		bytes += queue_yaml_item(s->watched[i], (uint32_t)strlen(s->watched[i]),
			yaml + bytes, sizeof(yaml) - bytes);
	say(s, line, queue_reply_ok(bytes, line, sizeof(line)));
	say(s, yaml, bytes);
	say(s, "\r\n", 2);
}

static void
on_pause(struct server *s, const struct queue_request *r)
{
	char name[QUEUE_NAME_BYTES_MAX + 1];

	copy_name(name, r);
	say_word(s, strcmp(name, "default") == 0 ? QUEUE_REPLY_PAUSED : QUEUE_REPLY_NOT_FOUND);
}

static void
on_request(struct server *s, const struct queue_request *r)
{
	switch (r->verb) {
	case QUEUE_VERB_ERROR: say_word(s, r->reply); break;
	case QUEUE_VERB_PUT: s->body_bytes = r->bytes; break;
	case QUEUE_VERB_BODY:
		assert_in_range(r->part_bytes, 1, s->body_bytes);
		s->body_bytes -= r->part_bytes;
		break;
	case QUEUE_VERB_BODY_END:
		assert_int_equal(s->body_bytes, 0);
		say(s, "INSERTED N\r\n", 12);
		break;
	case QUEUE_VERB_USE:
		copy_name(s->used, r);
		say_using(s);
		break;
	case QUEUE_VERB_LIST_TUBE_USED: say_using(s); break;
	case QUEUE_VERB_WATCH: on_watch(s, r); break;
	case QUEUE_VERB_IGNORE: on_ignore(s, r); break;
	case QUEUE_VERB_LIST_TUBES_WATCHED: on_list_watched(s); break;
	case QUEUE_VERB_PAUSE_TUBE: on_pause(s, r); break;
	case QUEUE_VERB_KICK: say(s, "KICKED 0\r\n", 10); break;
	case QUEUE_VERB_RESERVE_TIMEOUT:
		assert_int_equal(r->timeout_s, 0); /* no row waits */
		say_word(s, QUEUE_REPLY_TIMED_OUT);
		break;
	case QUEUE_VERB_QUIT:
		say(s, BEANSTALK_CLOSED, strlen(BEANSTALK_CLOSED));
		s->is_closed = true;
		break;
	case QUEUE_VERB_NONE:
	case QUEUE_VERB_RESERVE:
	case QUEUE_VERB_STATS:
	case QUEUE_VERB_LIST_TUBES: fail_msg("verb %d is in no row", r->verb); break;
	default: say_word(s, QUEUE_REPLY_NOT_FOUND); break;
	}
}

/* Feed a piece as a gateway would. What is lent is gone with the next call, so it is lent from
 * memory that goes too. */
static void
serve(struct server *s, const uint8_t *bytes, size_t count)
{
	uint8_t *copy = malloc(count);
	struct queue_request r;
	size_t at = 0;

	assert_non_null(copy);
	memcpy(copy, bytes, count);
	while (at < count && !s->is_closed) {
		at += queue_parser_feed(&s->parser, copy + at, count - at, &r);
		if (r.verb == QUEUE_VERB_NONE)
			assert_int_equal(at, count);
		else
			on_request(s, &r);
	}
	free(copy);
}

/* ------------------------------------------------------------------------------ the rows */

static uint8_t input[BEANSTALK_INPUT_BYTES_MAX];
static size_t input_bytes;
static uint8_t expected[4096];
static size_t expected_bytes;

static void
begin_row(const struct beanstalk_row *row)
{
	input_bytes = beanstalk_expand(row->input, input, sizeof(input));
	expected_bytes = beanstalk_expand(row->replies, expected, sizeof(expected));
}

static void
check(const struct server *s, const char *name)
{
	if (s->replies_bytes != expected_bytes || memcmp(s->replies, expected, expected_bytes) != 0)
		fail_msg("%s: %.*s", name, (int)s->replies_bytes, s->replies);
	assert_true(s->is_closed || queue_parser_is_idle(&s->parser));
}

static void
test_each_row_is_answered_as_beanstalkd_does(void **state)
{
	static struct server s;

	(void)state;
	for (size_t i = 0; i < beanstalk_row_count; i++) {
		begin_row(&beanstalk_rows[i]);
		server_init(&s);
		serve(&s, input, input_bytes);
		check(&s, beanstalk_rows[i].name);
	}
}

static void
test_rows_byte_by_byte(void **state)
{
	static struct server s;

	(void)state;
	for (size_t i = 0; i < beanstalk_row_count; i++) {
		begin_row(&beanstalk_rows[i]);
		server_init(&s);
		for (size_t at = 0; at < input_bytes; at++)
			serve(&s, input + at, 1);
		check(&s, beanstalk_rows[i].name);
	}
}

/* Large bodies are cut near their ends only: every position of 70,000 says nothing more. */
static void
test_rows_in_two_pieces_at_every_position(void **state)
{
	static struct server s;

	(void)state;
	for (size_t i = 0; i < beanstalk_row_count; i++) {
		begin_row(&beanstalk_rows[i]);
		for (size_t cut = 1; cut < input_bytes; cut++) {
			if (cut == 1000 && input_bytes > 5000)
				cut = input_bytes - 1000;
			server_init(&s);
			serve(&s, input, cut);
			serve(&s, input + cut, input_bytes - cut);
			check(&s, beanstalk_rows[i].name);
		}
	}
}

static void
test_all_rows_on_random_cuts(void **state)
{
	static struct server s;
	uint64_t random = 1;

	(void)state;
	for (size_t round = 0; round < 30 * beanstalk_row_count; round++) {
		const struct beanstalk_row *row = &beanstalk_rows[round % beanstalk_row_count];
		uint32_t most = 1 + (uint32_t)round % 400;

		begin_row(row);
		server_init(&s);
		for (size_t at = 0, count; at < input_bytes; at += count) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			count = 1 + (random >> 33) % most;
			if (count > input_bytes - at)
				count = input_bytes - at;
			serve(&s, input + at, count);
		}
		check(&s, row->name);
	}
}

/* ------------------------------------------------------------------------------ the fields */

static const struct {
	const char *line;
	struct queue_request want; /* name and part aside */
	const char *name;
} lines[] = {
	{ "put 1 2 3 4\r\n", { QUEUE_VERB_PUT, .counter = QUEUE_CMD_PUT, .pri = 1, .delay_s = 2,
				     .ttr_s = 3, .bytes = 4 } },
	{ "put 4294967295 4294967294 4294967293 65535\r\n",
		{ QUEUE_VERB_PUT, .counter = QUEUE_CMD_PUT, .pri = UINT32_MAX,
			.delay_s = UINT32_MAX - 1, .ttr_s = UINT32_MAX - 2, .bytes = 65535 } },
	{ "peek 18446744073709551615\r\n",
		{ QUEUE_VERB_PEEK, .counter = QUEUE_CMD_PEEK, .id = UINT64_MAX } },
	{ "peek 007\r\n", { QUEUE_VERB_PEEK, .counter = QUEUE_CMD_PEEK, .id = 7 } },
	{ "peek-ready\r\n", { QUEUE_VERB_PEEK_READY, .counter = QUEUE_CMD_PEEK_READY } },
	{ "peek-delayed\r\n", { QUEUE_VERB_PEEK_DELAYED, .counter = QUEUE_CMD_PEEK_DELAYED } },
	{ "peek-buried\r\n", { QUEUE_VERB_PEEK_BURIED, .counter = QUEUE_CMD_PEEK_BURIED } },
	{ "reserve\r\n", { QUEUE_VERB_RESERVE, .counter = QUEUE_CMD_RESERVE } },
	{ "reserve-with-timeout 9\r\n",
		{ QUEUE_VERB_RESERVE_TIMEOUT, .counter = QUEUE_CMD_RESERVE_TIMEOUT,
			.timeout_s = 9 } },
	{ "reserve-with-timeout 2147483647\r\n",
		{ QUEUE_VERB_RESERVE_TIMEOUT, .counter = QUEUE_CMD_RESERVE_TIMEOUT,
			.timeout_s = INT32_MAX } },
	{ "reserve-with-timeout  007 8x\r\n",
		{ QUEUE_VERB_RESERVE_TIMEOUT, .counter = QUEUE_CMD_RESERVE_TIMEOUT,
			.timeout_s = 7 } },
	{ "reserve-job 5\r\n",
		{ QUEUE_VERB_RESERVE_JOB, .counter = QUEUE_COUNTER_COUNT, .id = 5 } },
	{ "delete 6\r\n", { QUEUE_VERB_DELETE, .counter = QUEUE_CMD_DELETE, .id = 6 } },
	{ "release 7 8 9\r\n", { QUEUE_VERB_RELEASE, .counter = QUEUE_CMD_RELEASE, .id = 7,
				       .pri = 8, .delay_s = 9 } },
	{ "bury 10 11\r\n", { QUEUE_VERB_BURY, .counter = QUEUE_CMD_BURY, .id = 10, .pri = 11 } },
	{ "touch 12\r\n", { QUEUE_VERB_TOUCH, .counter = QUEUE_CMD_TOUCH, .id = 12 } },
	{ "kick 13\r\n", { QUEUE_VERB_KICK, .counter = QUEUE_CMD_KICK, .bound = 13 } },
	{ "kick 13 14\r\n", { QUEUE_VERB_KICK, .counter = QUEUE_CMD_KICK, .bound = 13 } },
	{ "kick -1\r\n", { QUEUE_VERB_KICK, .counter = QUEUE_CMD_KICK, .bound = UINT32_MAX } },
	{ "kick 4294967298\r\n", { QUEUE_VERB_KICK, .counter = QUEUE_CMD_KICK, .bound = 2 } },
	{ "kick -18446744073709551615\r\n",
		{ QUEUE_VERB_KICK, .counter = QUEUE_CMD_KICK, .bound = 1 } },
	{ "kick-job 15\r\n", { QUEUE_VERB_KICK_JOB, .counter = QUEUE_COUNTER_COUNT, .id = 15 } },
	{ "stats\r\n", { QUEUE_VERB_STATS, .counter = QUEUE_CMD_STATS } },
	{ "stats-job 16\r\n", { QUEUE_VERB_STATS_JOB, .counter = QUEUE_CMD_STATS_JOB, .id = 16 } },
	{ "stats-tube t\r\n", { QUEUE_VERB_STATS_TUBE, .counter = QUEUE_CMD_STATS_TUBE }, "t" },
	{ "use u\r\n", { QUEUE_VERB_USE, .counter = QUEUE_CMD_USE }, "u" },
	{ "watch v-w\r\n", { QUEUE_VERB_WATCH, .counter = QUEUE_CMD_WATCH }, "v-w" },
	{ "ignore x\r\n", { QUEUE_VERB_IGNORE, .counter = QUEUE_CMD_IGNORE }, "x" },
	{ "list-tubes\r\n", { QUEUE_VERB_LIST_TUBES, .counter = QUEUE_CMD_LIST_TUBES } },
	{ "list-tube-used\r\n",
		{ QUEUE_VERB_LIST_TUBE_USED, .counter = QUEUE_CMD_LIST_TUBE_USED } },
	{ "list-tubes-watched\r\n",
		{ QUEUE_VERB_LIST_TUBES_WATCHED, .counter = QUEUE_CMD_LIST_TUBES_WATCHED } },
	{ "pause-tube y 17\r\n",
		{ QUEUE_VERB_PAUSE_TUBE, .counter = QUEUE_CMD_PAUSE_TUBE, .delay_s = 17 }, "y" },
	{ "pause-tubey 17\r\n",
		{ QUEUE_VERB_PAUSE_TUBE, .counter = QUEUE_CMD_PAUSE_TUBE, .delay_s = 17 }, "y" },
	{ "quit\r\n", { QUEUE_VERB_QUIT, .counter = QUEUE_COUNTER_COUNT } },

	/* What is counted although it is wrong. */
	{ "pause-tube -y 17\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_CMD_PAUSE_TUBE } },
	{ "pause-tube y z\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_COUNTER_COUNT } },
	{ "put 1 2 3 4 5\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_CMD_PUT } },
	{ "put 1 2 3\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_COUNTER_COUNT } },
	{ "use -u\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_COUNTER_COUNT } },
	{ "peek x\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_COUNTER_COUNT } },
	{ "statsx\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_BAD_FORMAT, .counter = QUEUE_COUNTER_COUNT } },
	{ "x\r\n",
		{ QUEUE_VERB_ERROR, QUEUE_REPLY_UNKNOWN_COMMAND, .counter = QUEUE_COUNTER_COUNT } },
};

static void
check_request(const char *line, const struct queue_request *r, const struct queue_request *want,
	const char *name)
{
	if (r->verb != want->verb || r->reply != want->reply || r->counter != want->counter ||
		r->is_producer != want->is_producer || r->id != want->id || r->pri != want->pri ||
		r->delay_s != want->delay_s ||
		(r->verb != QUEUE_VERB_ERROR && r->bytes != want->bytes) ||
		r->ttr_s != want->ttr_s || r->bound != want->bound ||
		r->timeout_s != want->timeout_s)
		fail_msg("%s is not what it says", line);
	if (name != NULL) {
		assert_int_equal(r->name_bytes, strlen(name));
		assert_memory_equal(r->name, name, r->name_bytes);
	}
}

static void
test_lines_carry_their_fields(void **state)
{
	struct queue_parser p;
	struct queue_request r;

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		size_t bytes = strlen(lines[i].line);

		queue_parser_init(&p, QUEUE_JOB_BYTES_MAX_DEFAULT);
		assert_int_equal(
			queue_parser_feed(&p, (const uint8_t *)lines[i].line, bytes, &r), bytes);
		check_request(lines[i].line, &r, &lines[i].want, lines[i].name);
	}
}

/* ------------------------------------------------------------------------------ bodies */

static struct queue_request
feed(struct queue_parser *p, const char *text)
{
	struct queue_request r;

	assert_int_equal(
		queue_parser_feed(p, (const uint8_t *)text, strlen(text), &r), strlen(text));
	return r;
}

static void
test_a_body_is_lent_and_not_copied(void **state)
{
	static const char text[] = "put 0 0 0 5\r\nhello\r\n";
	const uint8_t *bytes = (const uint8_t *)text;
	struct queue_parser p;
	struct queue_request r;

	(void)state;
	queue_parser_init(&p, 5);
	assert_int_equal(queue_parser_feed(&p, bytes, 20, &r), 13);
	assert_int_equal(r.verb, QUEUE_VERB_PUT);
	assert_false(queue_parser_is_idle(&p));
	assert_int_equal(queue_parser_feed(&p, bytes + 13, 7, &r), 5);
	assert_int_equal(r.verb, QUEUE_VERB_BODY);
	assert_ptr_equal(r.part, bytes + 13);
	assert_int_equal(r.part_bytes, 5);
	assert_true(queue_parser_is_in_put(&p));
	assert_int_equal(queue_parser_feed(&p, bytes + 18, 2, &r), 2);
	assert_int_equal(r.verb, QUEUE_VERB_BODY_END);
	assert_true(queue_parser_is_idle(&p));
	assert_false(queue_parser_is_in_put(&p));
}

/* stats counts a put by its head; a client whose head was good is a producer, whatever came of its
 * body. */
static void
test_a_body_that_fails_is_counted(void **state)
{
	struct queue_parser p;
	struct queue_request r;

	(void)state;
	queue_parser_init(&p, 5);
	feed(&p, "put 0 0 0 0\r\n");
	r = feed(&p, "xx");
	assert_int_equal(r.verb, QUEUE_VERB_ERROR);
	assert_int_equal(r.reply, QUEUE_REPLY_EXPECTED_CRLF);
	assert_int_equal(r.counter, QUEUE_CMD_PUT);
	assert_true(r.is_producer);

	feed(&p, "put 0 0 0 6\r\n");
	assert_int_equal(feed(&p, "1234567").verb, QUEUE_VERB_NONE);
	r = feed(&p, "8");
	assert_int_equal(r.reply, QUEUE_REPLY_JOB_TOO_BIG);
	assert_int_equal(r.counter, QUEUE_CMD_PUT);
	assert_false(r.is_producer);
}

/* Whenever it becomes known that there is no room, the same bytes are thrown away and one reply
 * comes. */
static void
test_a_body_without_room_is_skipped(void **state)
{
	static const char *const pieces[] = { "put 0 0 0 3\r\n", "ab", "c", "x", "y", "use q\r\n" };
	struct queue_parser p;
	struct queue_request r;

	(void)state;
	for (size_t skip_after = 0; skip_after < 4; skip_after++) {
		queue_parser_init(&p, 5);
		for (size_t i = 0; i < COUNT(pieces) - 1; i++) {
			r = feed(&p, pieces[i]);
			if (i == skip_after)
				queue_parser_skip_body(&p, QUEUE_REPLY_OUT_OF_MEMORY);
			else if (i > skip_after && i < 4)
				assert_int_equal(r.verb, QUEUE_VERB_NONE);
		}
		assert_int_equal(r.verb, QUEUE_VERB_ERROR);
		assert_int_equal(r.reply, QUEUE_REPLY_OUT_OF_MEMORY);
		assert_int_equal(r.counter, QUEUE_CMD_PUT);
		assert_true(r.is_producer);
		assert_int_equal(feed(&p, pieces[5]).verb, QUEUE_VERB_USE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_is_answered_as_beanstalkd_does),
		cmocka_unit_test(test_rows_byte_by_byte),
		cmocka_unit_test(test_rows_in_two_pieces_at_every_position),
		cmocka_unit_test(test_all_rows_on_random_cuts),
		cmocka_unit_test(test_lines_carry_their_fields),
		cmocka_unit_test(test_a_body_is_lent_and_not_copied),
		cmocka_unit_test(test_a_body_that_fails_is_counted),
		cmocka_unit_test(test_a_body_without_room_is_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
