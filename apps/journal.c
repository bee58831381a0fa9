/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's own protocol: one datagram per line, of FIELD=value lines. libsystemd has a
 * function for it, but that one waits when journald is slow or hangs, and the thread that would
 * wait also feeds the watchdog.
 *
 * JOURNAL_STREAM names the device and inode of the stream that systemd made standard error. Who
 * redirects standard error wants the lines there.
 */
#include "apps/journal.h"

#include "apps/options.h"
#include "base/line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TEXT_BYTES     (DECREE_ERROR_BYTES + 64)
#define DATAGRAM_BYTES (TEXT_BYTES + 512)

static const struct decree_log_line lines[] = {
#define X(identifier, level_, word, message_id_, help)                                             \
	[JOURNAL_##identifier] = { .level = DECREE_LOG_##level_,                                   \
		.event = word,                                                                     \
		.message_id = message_id_,                                                         \
		.group = DECREE_NO_GROUP },
	JOURNAL_TABLE(X)
#undef X
};

static const struct sockaddr_un journal = {
	.sun_family = AF_UNIX,
	.sun_path = "/run/systemd/journal/socket",
};
static int journal_fd = -1; /* standard error is no stream of the journal's */
static _Atomic uint64_t lost;
static uint16_t node_id; /* 0: not known yet */
static uint64_t cluster_id;

/* ------------------------------------------------------------------------------ start */

static bool
is_journals(const char *stream)
{
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static void
take_complaint(const char *text)
{
	journal_say(JOURNAL_FAILS, "%s", text);
}

void
journal_open(void)
{
	if (is_journals(getenv("JOURNAL_STREAM")))
		journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	options_set_complaint(take_complaint);
}

void
journal_set_node(const struct decree_setup *setup)
{
	node_id = setup->node_id;
	cluster_id = setup->cluster_id;
}

/* ------------------------------------------------------------------------------ lines */

static size_t
build(const struct decree_log_line *line, char datagram[DATAGRAM_BYTES])
{
	char text[TEXT_BYTES];
	int at;

	(void)snprintf(text, sizeof(text), "%s", line->text); /* a longer one is cut */
	for (char *end = text; (end = strchr(end, '\n')) != NULL;)
		*end = ' '; /* it would end the field */
	at = snprintf(datagram, DATAGRAM_BYTES,
		"MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=decreed\nMESSAGE_ID=%s\nDECREE_EVENT=%"
		"s\n",
		text, (int)line->level, line->message_id, line->event);
	if (node_id != 0)
		at += snprintf(datagram + at, DATAGRAM_BYTES - (size_t)at,
			"DECREE_NODE=%u\nDECREE_CLUSTER=%" PRIx64 "\n", node_id, cluster_id);
	if (line->group != DECREE_NO_GROUP)
		at += snprintf(datagram + at, DATAGRAM_BYTES - (size_t)at,
			"DECREE_GROUP=%" PRId32 "\n", line->group);
	return (size_t)at;
}

/* @return 0, -EAGAIN: not now, or another -errno: there is no journal any more */
static int
send_line(const struct decree_log_line *line)
{
	char datagram[DATAGRAM_BYTES];
	size_t bytes = build(line, datagram);

	if (sendto(journal_fd, datagram, bytes, MSG_DONTWAIT | MSG_NOSIGNAL,
		    (const struct sockaddr *)&journal, sizeof(journal)) >= 0)
		return 0;
	return errno == ENOBUFS ? -EAGAIN : -errno;
}

static int
tell_lost(void)
{
	uint64_t count = atomic_exchange(&lost, 0);
	struct decree_log_line line = lines[JOURNAL_LOST];
	char text[64];
	int rc;

	if (count == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%" PRIu64 " lines were lost: nobody read them", count);
	line.text = text;
	rc = send_line(&line);
	if (rc != 0)
		atomic_fetch_add(&lost, count);
	return rc;
}

/* @param plain  the same for whoever has no fields */
static void
put(const struct decree_log_line *line, const char *plain)
{
	int rc = journal_fd >= 0 ? tell_lost() : -ENOENT;

	if (rc == 0)
		rc = send_line(line);
	if (rc == -EAGAIN)
		atomic_fetch_add(&lost, 1);
	else if (rc != 0)
		(void)base_line_put(&base_standard_error, plain); /* it counts */
}

void
journal_say(enum journal_note note, const char *format, ...)
{
	struct decree_log_line line = lines[note];
	char text[TEXT_BYTES], plain[TEXT_BYTES + 16];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a longer one is cut */
	va_end(args);
	line.text = text;
	(void)snprintf(plain, sizeof(plain), "decreed: %s", text); /* fits */
	put(&line, plain);
}

void
journal_on_line(void *context, const struct decree_log_line *line)
{
	static const char *const levels[] = { "", "", "", "error", "warning", "notice", "info" };
	char plain[TEXT_BYTES + 64];

	(void)context;
	(void)snprintf(plain, sizeof(plain), "decree[%u] %s: %s", node_id, levels[line->level & 7],
		line->text);
	put(line, plain);
}

void
journal_on_queue(void *context, enum decree_log_level level, const char *text)
{
	struct decree_log_line line = lines[JOURNAL_QUEUE];

	(void)context;
	line.level = level;
	line.text = text;
	put(&line, text);
}
