/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's log: lines of its own threads, written at once, and those of the shards, which cannot
 * wait for a terminal. These come through a small ring each. A ring that is full loses the line,
 * never the turn; and of each kind at most LINES_PER_SECOND are written in a second. What is left
 * out is counted, by kind, and said.
 */
#include "engine/runtime/node_private.h"

#include "base/line.h"

#include <stdarg.h>

#define LINES_PER_SECOND 10
#define SECOND_NS        1000000000ull

static void
write_line(struct decree_node *node, enum note note, int32_t group, const char *text)
{
	static const char *const levels[] = { "", "", "", "error", "warning", "notice", "info" };
	struct decree_log_line line = note_line(note);
	char plain[DECREE_ERROR_BYTES + 64];

	line.group = group;
	line.text = text;
	if (node->options.on_log_line != NULL) {
		node->options.on_log_line(node->options.context, &line);
	} else if (node->options.on_log != NULL) {
		node->options.on_log(node->options.context, line.level, text);
	} else {
		snprintf(plain, sizeof(plain), "decree[%u] %s: %s", node->config.node_id,
			levels[line.level & 7], text);
		(void)base_line_put(&base_standard_error, plain); /* it counts */
	}
}

void
node_log(struct decree_node *node, enum note note, const char *format, ...)
{
	char line[DECREE_ERROR_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	write_line(node, note, DECREE_NO_GROUP, line);
}

/* Shard's thread. */
void
lines_push(void *context, enum note note, int32_t group, const char *text)
{
	struct node_shard *ns = context;
	uint64_t head = atomic_load_explicit(&ns->line_head, memory_order_relaxed);
	/* Acquire: pairs with the release in lines_drain(); the place was read before it is written
	 * again. */
	uint64_t tail = atomic_load_explicit(&ns->line_tail, memory_order_acquire);
	struct log_line *at = &ns->lines[head % NODE_LOG_LINE_COUNT];

	if (head - tail == NODE_LOG_LINE_COUNT) {
		atomic_fetch_add_explicit(&ns->lines_lost, 1, memory_order_relaxed);
		return;
	}
	at->note = note;
	at->group = group;
	snprintf(at->text, sizeof(at->text), "%s", text);
	atomic_store_explicit(&ns->line_head, head + 1, memory_order_release);
}

bool
lines_may_write(struct line_budget *b, uint64_t now_ns, uint64_t *ret_left_out)
{
	*ret_left_out = 0;
	if (now_ns - b->since_ns >= SECOND_NS) {
		b->since_ns = now_ns;
		b->written = 0;
		*ret_left_out = b->left_out;
		b->left_out = 0;
	}
	if (b->written == LINES_PER_SECOND) {
		b->left_out++;
		return false;
	}
	b->written++;
	return true;
}

static void
tell_left_out(struct decree_node *node, enum note note, uint64_t count)
{
	if (count > 0 && note == NOTE_LEFT_OUT)
		node_log(node, NOTE_LEFT_OUT, "%llu more lines were left out",
			(unsigned long long)count);
	else if (count > 0)
		node_log(node, NOTE_LEFT_OUT, "%llu more lines of the kind '%s' were left out",
			(unsigned long long)count, note_line(note).event);
}

void
lines_drain(struct node_shard *ns, uint64_t now_ns)
{
	uint64_t tail = atomic_load_explicit(&ns->line_tail, memory_order_relaxed);
	/* Acquire: pairs with the release in lines_push(); the lines are whole. */
	uint64_t head = atomic_load_explicit(&ns->line_head, memory_order_acquire);

	for (; tail < head; tail++) {
		const struct log_line *at = &ns->lines[tail % NODE_LOG_LINE_COUNT];
		uint64_t left_out;
		bool may = lines_may_write(&ns->node->line_budgets[at->note], now_ns, &left_out);

		tell_left_out(ns->node, at->note, left_out);
		if (may)
			write_line(ns->node, at->note, at->group, at->text);
	}
	atomic_store_explicit(&ns->line_tail, tail, memory_order_release);
	/* Of no kind that is known any more. */
	ns->node->line_budgets[NOTE_LEFT_OUT].left_out +=
		atomic_exchange_explicit(&ns->lines_lost, 0, memory_order_relaxed);
}

void
lines_look_back(struct decree_node *node, uint64_t now_ns)
{
	for (uint32_t i = 0; i < NOTE_COUNT; i++) {
		struct line_budget *b = &node->line_budgets[i];

		if (b->left_out == 0 || now_ns - b->since_ns < SECOND_NS)
			continue;
		tell_left_out(node, i, b->left_out);
		*b = (struct line_budget){ .since_ns = now_ns };
	}
}
