/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file journal.h
 * Where the daemon's lines go: into systemd's journal, with fields to filter by, if standard error
 * is a stream of it; else to standard error, as lines.
 *
 * Threads:  any. Nobody is ever waited for: what cannot be taken at once is lost, counted, and the
 *           count is said.
 */
#ifndef APPS_JOURNAL_H
#define APPS_JOURNAL_H

#include <decree/node.h>
#include <decree/setup.h>

/* X(identifier, level, word, message id, what it means): the daemon's own kinds of lines, beside
 * the node's. */
#define JOURNAL_TABLE(X)                                                                           \
	X(READY, NOTICE, "ready", "8633b0781b5569893e1579a9b3d4d542", "The node takes part.")      \
	X(LISTENS, NOTICE, "listens", "31ad585a6b9625922dd13832767de142",                          \
		"Where clients of the queue are served.")                                          \
	X(STANDALONE, NOTICE, "standalone", "aa71f60052b4c8d89b218e8e65307b97",                    \
		"Where a node without a configuration keeps its jobs.")                            \
	X(DRAINS, NOTICE, "drains", "f5e1d5c6ac54cfa8b7c7a1dfb217c486",                            \
		"Puts are refused from now on (SIGUSR1).")                                         \
	X(STOPS, NOTICE, "stops", "2a95ea4855e75ed13eddd429e1232d5c", "The end was asked for.")    \
	X(FAILS, ERROR, "fails", "433702a70606ab3ff917ac9cde052e30",                               \
		"The node cannot start, or has to stop.")                                          \
	X(QUEUE, WARNING, "queue", "35f5ab56457b1ff99acff6df32959c4a",                             \
		"What the queue's connections tell.")                                              \
	X(LOST, WARNING, "lost", "5297dbe53efc7bd22d1334fdfb1e8e80",                               \
		"How many lines the journal did not take in time.")

enum journal_note {
#define X(identifier, level, word, message_id, help) JOURNAL_##identifier,
	JOURNAL_TABLE(X)
#undef X
};

/** Before the first line. */
void journal_open(void);

/** From here on lines carry these numbers. Before the first thread. */
void journal_set_node(const struct decree_setup *setup);

void
journal_say(enum journal_note note, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** For decree_options.on_log_line. */
void journal_on_line(void *context, const struct decree_log_line *line);

/** For queue_gateway_options.on_log. */
void journal_on_queue(void *context, enum decree_log_level level, const char *text);

#endif
