/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_BYTES_MAX    (1u << 20)
#define SAMPLES_ABOVE_MIN 10 /* as a percentile of latencies takes them */

/* What the lines of a stage begin with, and what is in their labels. */
static const struct {
	const char *word, *name, *label;
} stages[WATCH_STAGE_COUNT] = {
	[WATCH_RX] = { "rx", "decree_stage_seconds", "stage=\"rx\"" },
	[WATCH_DECODE] = { "decode", "decree_stage_seconds", "stage=\"decode\"" },
	[WATCH_STEP] = { "step", "decree_stage_seconds", "stage=\"step\"" },
	[WATCH_SUBMIT] = { "submit", "decree_stage_seconds", "stage=\"submit\"" },
	[WATCH_DURABLE] = { "durable", "decree_stage_seconds", "stage=\"durable\"" },
	[WATCH_CHOSEN] = { "chosen", "decree_stage_seconds", "stage=\"chosen\"" },
	[WATCH_APPLY] = { "apply", "decree_stage_seconds", "stage=\"apply\"" },
	[WATCH_TX] = { "tx", "decree_stage_seconds", "stage=\"tx\"" },
};

const char *
watch_stage_word(enum watch_stage_kind kind)
{
	return stages[kind].word;
}

/* ------------------------------------------------------------------------------ the text */

static int
connect_to(uint16_t port)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	rc = -errno;
	(void)close(fd); /* was never open */
	return rc;
}

/* The whole answer, headers too: no line of them looks like a metric. */
static int
fetch(uint16_t port, char *to, size_t capacity)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
	int fd = connect_to(port);
	size_t bytes = 0;
	ssize_t got = -1;

	if (fd < 0)
		return fd;
	if (write(fd, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1)
		while ((got = read(fd, to + bytes, capacity - 1 - bytes)) > 0)
			bytes += (size_t)got;
	to[bytes] = '\0';
	(void)close(fd); /* everything was read */
	return got != 0 ? -EIO : strncmp(to, "HTTP/1", 6) != 0 ? -EBADMSG : 0;
}

/* ------------------------------------------------------------------------------ lines */

static void
on_bucket(struct watch_stage *s, const char *labels, double value)
{
	const char *le = strstr(labels, "le=\"");
	double bound_us =
		le == NULL ? 0 : strtod(le + 4, NULL) * 1e6; /* "+Inf" is a number to strtod() */
	uint32_t i = 0;

	while (i < s->bound_count && s->bounds_us[i] != bound_us)
		i++;
	if (i == WATCH_BOUND_COUNT_MAX)
		return;
	s->bounds_us[i] = bound_us;
	s->below[i] += value; /* of another shard */
	if (i == s->bound_count)
		s->bound_count++;
}

static void
on_stage(struct watch *w, const char *name, const char *labels, double value)
{
	for (uint32_t i = 0; i < WATCH_STAGE_COUNT; i++) {
		size_t length = strlen(stages[i].name);

		if (strncmp(name, stages[i].name, length) != 0 ||
			strstr(labels, stages[i].label) == NULL)
			continue;
		if (strcmp(name + length, "_bucket") == 0)
			on_bucket(&w->stages[i], labels, value);
		else if (strcmp(name + length, "_sum") == 0)
			w->stages[i].sum_us += value * 1e6;
		else if (strcmp(name + length, "_count") == 0)
			w->stages[i].count += value;
	}
}

static void
on_info(struct watch *w, const char *labels)
{
	const char *idle = strstr(labels, "idle=\"");

	if (idle != NULL)
		(void)sscanf(idle, "idle=\"%15[^\"]", w->idle); /* or it stays empty */
}

/* "name{labels} value" */
static void
on_line(struct watch *w, char *line)
{
	char *labels = strchr(line, '{'), *end = labels == NULL ? NULL : strstr(labels, "} ");
	double value;

	if (end == NULL || line[0] == '#')
		return;
	*labels++ = '\0';
	*end = '\0';
	value = strtod(end + 2, NULL);
	if (strcmp(line, "decree_node_info") == 0)
		on_info(w, labels);
	else if (strcmp(line, "decree_frames_sent_total") == 0)
		w->frames_sent += value;
	else if (strcmp(line, "decree_chosen_slot") == 0)
		w->slots += value;
	else if (strcmp(line, "decree_commands_total") == 0)
		w->commands += value;
	else if (strcmp(line, "decree_log_written_bytes_total") == 0)
		w->log_bytes += value;
	else
		on_stage(w, line, labels, value);
}

int
watch_read(uint16_t port, struct watch *ret_watch)
{
	char *text = malloc(TEXT_BYTES_MAX), *rest = text, *line;
	int rc = text == NULL ? -ENOMEM : fetch(port, text, TEXT_BYTES_MAX);

	memset(ret_watch, 0, sizeof(*ret_watch));
	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL)
		on_line(ret_watch, line);
	free(text);
	return rc;
}

/* ------------------------------------------------------------------------------ numbers */

static void
stage_between(
	const struct watch_stage *before, const struct watch_stage *after, struct watch_stage *ret)
{
	*ret = *after;
	ret->sum_us -= before->sum_us;
	ret->count -= before->count;
	for (uint32_t i = 0; i < ret->bound_count; i++)
		ret->below[i] -= before->below[i];
}

void
watch_between(const struct watch *before, const struct watch *after, struct watch *ret_watch)
{
	for (uint32_t i = 0; i < WATCH_STAGE_COUNT; i++)
		stage_between(&before->stages[i], &after->stages[i], &ret_watch->stages[i]);
	memcpy(ret_watch->idle, after->idle, sizeof(ret_watch->idle));
	ret_watch->frames_sent = after->frames_sent - before->frames_sent;
	ret_watch->slots = after->slots - before->slots;
	ret_watch->commands = after->commands - before->commands;
	ret_watch->log_bytes = after->log_bytes - before->log_bytes;
}

double
watch_quantile_us(const struct watch_stage *s, double share)
{
	if (s->count * (1 - share) < SAMPLES_ABOVE_MIN - 1e-6)
		return NAN;
	for (uint32_t i = 0; i < s->bound_count && s->count > 0; i++)
		if (s->below[i] >= share * s->count)
			return isfinite(s->bounds_us[i]) ? s->bounds_us[i] : NAN;
	return NAN;
}

double
watch_mean_us(const struct watch_stage *s)
{
	return s->count > 0 ? s->sum_us / s->count : NAN;
}
