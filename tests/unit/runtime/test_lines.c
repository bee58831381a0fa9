/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the log: nobody waits for who reads them, and no kind of line hides another one. */
#include "base/line.h"
#include "base/memory.h"
#include "engine/runtime/node_private.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull

static size_t
read_all(int fd, char *text, size_t bytes)
{
	size_t used = 0;
	ssize_t rc;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (used + 1 < bytes && (rc = read(fd, text + used, bytes - used - 1)) > 0)
		used += (size_t)rc;
	text[used] = '\0';
	return used;
}

/* Lines until one is lost, then an empty channel again. @return how many were lost */
static void
fill_and_read_again(int writer, int reader)
{
	static char text[4 << 20];
	struct base_lines lines = { .fd = writer };
	char line[64], want[128];
	uint32_t count = 0;

	do
		snprintf(line, sizeof(line), "line %u", count);
	while (base_line_put(&lines, line) && ++count < 1000000);
	assert_in_range(count, 1, 999999);
	for (uint32_t i = 0; i < 4; i++)
		(void)base_line_put(&lines, "one more");
	read_all(reader, text, sizeof(text));
	snprintf(want, sizeof(want), "line %u\n", count - 1);
	assert_string_equal(text + strlen(text) - strlen(want), want); /* the last one is whole */

	assert_true(base_line_put(&lines, "here again"));
	read_all(reader, text, sizeof(text));
	assert_string_equal(text, "5 lines were lost: nobody read them\nhere again\n");
}

static void
test_a_full_pipe_loses_lines_and_says_so(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	fill_and_read_again(fds[1], fds[0]);
	close(fds[0]);
	close(fds[1]);
}

/* As the standard error that systemd makes. */
static void
test_a_full_socket_loses_lines_and_says_so(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fill_and_read_again(fds[1], fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void
test_a_file_takes_every_line(void **state)
{
	char path[] = "/tmp/decree-lines-XXXXXX", text[256];
	struct base_lines lines = { .fd = mkstemp(path) };

	(void)state;
	assert_true(lines.fd >= 0);
	unlink(path);
	assert_true(base_line_put(&lines, "first"));
	assert_true(base_line_put(&lines, "second"));
	assert_int_equal(lseek(lines.fd, 0, SEEK_SET), 0);
	read_all(lines.fd, text, sizeof(text));
	assert_string_equal(text, "first\nsecond\n");
	close(lines.fd);
}

static void
test_a_reader_that_is_gone_is_no_failure(void **state)
{
	struct base_lines lines = { .fd = -1 };
	int ends[2];

	(void)state;
	assert_false(base_line_put(&lines, "to nobody"));
	assert_int_equal(lines.lost, 1);
	/* Nor a signal that ends the program. */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(close(ends[0]), 0);
	lines.fd = ends[1];
	assert_false(base_line_put(&lines, "to nobody any more"));
	assert_int_equal(lines.lost, 2);
	assert_int_equal(close(ends[1]), 0);
}

/* ------------------------------------------------------------------------------ kinds */

static void
test_ten_of_a_kind_in_a_second_and_the_rest_is_counted(void **state)
{
	struct line_budget b = { 0 };
	uint64_t left_out, now_ns = 5 * SECOND_NS;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		assert_true(lines_may_write(&b, now_ns + i, &left_out));
	for (uint32_t i = 0; i < 7; i++) {
		assert_false(lines_may_write(&b, now_ns + 20, &left_out));
		assert_int_equal(left_out, 0);
	}
	assert_true(lines_may_write(&b, now_ns + SECOND_NS, &left_out));
	assert_int_equal(left_out, 7);
	assert_true(lines_may_write(&b, now_ns + SECOND_NS, &left_out));
	assert_int_equal(left_out, 0);
}

struct heard {
	uint32_t count[NOTE_COUNT];
	char last_left_out[DECREE_ERROR_BYTES];
	int32_t last_group;
};

static void
hear(void *context, const struct decree_log_line *line)
{
	struct heard *h = context;

	for (uint32_t i = 0; i < NOTE_COUNT; i++)
		h->count[i] += strcmp(note_line(i).event, line->event) == 0;
	if (strcmp(line->event, "left_out") == 0)
		snprintf(h->last_left_out, sizeof(h->last_left_out), "%s", line->text);
	h->last_group = line->group;
}

/* A node with one shard's lines; nothing else of it is there. */
static struct decree_node *
create_node(struct heard *heard)
{
	struct decree_node *node = base_zeros(1, sizeof(*node));

	assert_non_null(node);
	node->options.on_log_line = hear;
	node->options.context = heard;
	node->shards = base_zeros(1, sizeof(*node->shards));
	assert_non_null(node->shards);
	node->shards[0].node = node;
	node->shards[0].lines = calloc(NODE_LOG_LINE_COUNT, sizeof(*node->shards[0].lines));
	assert_non_null(node->shards[0].lines);
	return node;
}

static void
free_node(struct decree_node *node)
{
	free(node->shards[0].lines);
	free(node->shards);
	free(node);
}

static void
test_many_lines_of_one_kind_hide_no_other(void **state)
{
	struct heard heard = { 0 };
	struct decree_node *node = create_node(&heard);
	struct node_shard *ns = &node->shards[0];

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		lines_push(ns, NOTE_LEADER, 3, "group 3: node 2 leads");
	lines_push(ns, NOTE_STALL, DECREE_NO_GROUP, "the disk");
	lines_drain(ns, 2 * SECOND_NS);
	assert_int_equal(heard.count[NOTE_LEADER], 10);
	assert_int_equal(heard.count[NOTE_STALL], 1);
	assert_int_equal(heard.last_group, DECREE_NO_GROUP);

	/* Also if nothing follows. */
	lines_look_back(node, 3 * SECOND_NS);
	assert_int_equal(heard.count[NOTE_LEFT_OUT], 1);
	assert_string_equal(
		heard.last_left_out, "30 more lines of the kind 'leader' were left out");
	lines_look_back(node, 4 * SECOND_NS);
	assert_int_equal(heard.count[NOTE_LEFT_OUT], 1);

	lines_push(ns, NOTE_LEADER, 3, "group 3: node 1 leads");
	lines_drain(ns, 5 * SECOND_NS);
	assert_int_equal(heard.count[NOTE_LEADER], 11);
	assert_int_equal(heard.last_group, 3);
	free_node(node);
}

/* More at once than the ring holds: of what kind they were nobody knows, but how many. */
static void
test_a_full_ring_is_told(void **state)
{
	struct heard heard = { 0 };
	struct decree_node *node = create_node(&heard);

	(void)state;
	for (uint32_t i = 0; i < NODE_LOG_LINE_COUNT + 5; i++)
		lines_push(&node->shards[0], NOTE_SNAPSHOT, 0, "a snapshot");
	lines_drain(&node->shards[0], 2 * SECOND_NS);
	lines_look_back(node, 3 * SECOND_NS);
	assert_int_equal(heard.count[NOTE_SNAPSHOT], 10);
	assert_int_equal(heard.count[NOTE_LEFT_OUT], 2);
	assert_string_equal(heard.last_left_out, "5 more lines were left out");
	free_node(node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_pipe_loses_lines_and_says_so),
		cmocka_unit_test(test_a_full_socket_loses_lines_and_says_so),
		cmocka_unit_test(test_a_file_takes_every_line),
		cmocka_unit_test(test_a_reader_that_is_gone_is_no_failure),
		cmocka_unit_test(test_ten_of_a_kind_in_a_second_and_the_rest_is_counted),
		cmocka_unit_test(test_many_lines_of_one_kind_hide_no_other),
		cmocka_unit_test(test_a_full_ring_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
