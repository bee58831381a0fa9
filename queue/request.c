/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is found by how it begins: the first row of the table that it begins with. So "stats-jobx"
 * is no stats-job, whose row ends with a space, but a stats with something behind it, and therefore
 * BAD_FORMAT, while "statx" is no command at all. "pause-tubex 1" pauses the tube "x", and
 * everything that begins with "quit" is one. All of it was found out by asking beanstalkd.
 */
#include "queue/request.h"
#include "queue/numbers.h"

#include <string.h>

/* What stands behind the word; each reads the rest of the line into the request and says whether it
 * is well-formed. */
typedef bool (*rest_fn)(struct queue_text *t, struct queue_request *r);

struct row {
	const char *word;
	enum queue_verb verb;
	enum queue_counter counter;
	rest_fn rest;
};

static bool
take_u32(struct queue_text *t, uint32_t *ret_n)
{
	uint64_t n;

	if (!text_take_number(t, UINT32_MAX, &n))
		return false;
	*ret_n = (uint32_t)n;
	return true;
}

static bool
is_at_end(const struct queue_text *t)
{
	return t->at == t->end;
}

static bool
rest_nothing(struct queue_text *t, struct queue_request *r)
{
	(void)r;
	return is_at_end(t);
}

static bool
rest_anything(struct queue_text *t, struct queue_request *r)
{
	(void)t, (void)r;
	return true;
}

static bool
rest_id(struct queue_text *t, struct queue_request *r)
{
	return text_take_number(t, UINT64_MAX, &r->id) && is_at_end(t);
}

static bool
rest_bury(struct queue_text *t, struct queue_request *r)
{
	return text_take_number(t, UINT64_MAX, &r->id) && take_u32(t, &r->pri) && is_at_end(t);
}

static bool
rest_release(struct queue_text *t, struct queue_request *r)
{
	return text_take_number(t, UINT64_MAX, &r->id) && take_u32(t, &r->pri) &&
	       take_u32(t, &r->delay_s) && is_at_end(t);
}

/* Whatever is behind its last number is judged after the size: see finish_put(). */
static bool
rest_put(struct queue_text *t, struct queue_request *r)
{
	return take_u32(t, &r->pri) && take_u32(t, &r->delay_s) && take_u32(t, &r->ttr_s) &&
	       take_u32(t, &r->bytes);
}

/* Something may stand behind the number, and only the low 32 bits of it count. */
static bool
rest_kick(struct queue_text *t, struct queue_request *r)
{
	uint64_t n;

	if (!text_take_unsigned(t, &n))
		return false;
	r->bound = (uint32_t)n;
	return true;
}

/* Something may stand behind this one, too. */
static bool
rest_timeout(struct queue_text *t, struct queue_request *r)
{
	uint64_t n;

	if (!text_take_number(t, INT32_MAX, &n))
		return false;
	r->timeout_s = (uint32_t)n;
	return true;
}

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-+/;.$_()", c) != NULL);
}

static void
take_name(struct queue_text *t, struct queue_request *r)
{
	r->name = t->at;
	while (t->at < t->end && is_name_char(*t->at))
		t->at++;
	r->name_bytes = (uint32_t)(t->at - r->name);
}

static bool
is_name_valid(const struct queue_request *r)
{
	return r->name_bytes != 0 && r->name_bytes <= QUEUE_NAME_BYTES_MAX && r->name[0] != '-';
}

static bool
rest_name(struct queue_text *t, struct queue_request *r)
{
	take_name(t, r);
	return is_at_end(t) && is_name_valid(r);
}

/* Whether the name is a good one is judged after it was counted: see finish(). */
static bool
rest_pause(struct queue_text *t, struct queue_request *r)
{
	text_skip_spaces(t);
	take_name(t, r);
	return r->name_bytes != 0 && take_u32(t, &r->delay_s) && is_at_end(t);
}

#define UNCOUNTED QUEUE_COUNTER_COUNT

/* A word that another one begins with comes behind it. */
static const struct row rows[] = {
	{ "put ", QUEUE_VERB_PUT, QUEUE_CMD_PUT, rest_put },
	{ "reserve-with-timeout ", QUEUE_VERB_RESERVE_TIMEOUT, QUEUE_CMD_RESERVE_TIMEOUT,
		rest_timeout },
	{ "reserve-job ", QUEUE_VERB_RESERVE_JOB, UNCOUNTED, rest_id },
	{ "reserve", QUEUE_VERB_RESERVE, QUEUE_CMD_RESERVE, rest_nothing },
	{ "delete ", QUEUE_VERB_DELETE, QUEUE_CMD_DELETE, rest_id },
	{ "release ", QUEUE_VERB_RELEASE, QUEUE_CMD_RELEASE, rest_release },
	{ "bury ", QUEUE_VERB_BURY, QUEUE_CMD_BURY, rest_bury },
	{ "touch ", QUEUE_VERB_TOUCH, QUEUE_CMD_TOUCH, rest_id },
	{ "kick ", QUEUE_VERB_KICK, QUEUE_CMD_KICK, rest_kick },
	{ "kick-job ", QUEUE_VERB_KICK_JOB, UNCOUNTED, rest_id },
	{ "use ", QUEUE_VERB_USE, QUEUE_CMD_USE, rest_name },
	{ "watch ", QUEUE_VERB_WATCH, QUEUE_CMD_WATCH, rest_name },
	{ "ignore ", QUEUE_VERB_IGNORE, QUEUE_CMD_IGNORE, rest_name },
	{ "peek ", QUEUE_VERB_PEEK, QUEUE_CMD_PEEK, rest_id },
	{ "peek-ready", QUEUE_VERB_PEEK_READY, QUEUE_CMD_PEEK_READY, rest_nothing },
	{ "peek-delayed", QUEUE_VERB_PEEK_DELAYED, QUEUE_CMD_PEEK_DELAYED, rest_nothing },
	{ "peek-buried", QUEUE_VERB_PEEK_BURIED, QUEUE_CMD_PEEK_BURIED, rest_nothing },
	{ "stats-job ", QUEUE_VERB_STATS_JOB, QUEUE_CMD_STATS_JOB, rest_id },
	{ "stats-tube ", QUEUE_VERB_STATS_TUBE, QUEUE_CMD_STATS_TUBE, rest_name },
	{ "stats", QUEUE_VERB_STATS, QUEUE_CMD_STATS, rest_nothing },
	{ "list-tubes-watched", QUEUE_VERB_LIST_TUBES_WATCHED, QUEUE_CMD_LIST_TUBES_WATCHED,
		rest_nothing },
	{ "list-tube-used", QUEUE_VERB_LIST_TUBE_USED, QUEUE_CMD_LIST_TUBE_USED, rest_nothing },
	{ "list-tubes", QUEUE_VERB_LIST_TUBES, QUEUE_CMD_LIST_TUBES, rest_nothing },
	{ "pause-tube", QUEUE_VERB_PAUSE_TUBE, QUEUE_CMD_PAUSE_TUBE, rest_pause },
	{ "quit", QUEUE_VERB_QUIT, UNCOUNTED, rest_anything },
};

/* @return the row that the line begins with, which *ret_rest is behind then; or NULL */
static const struct row *
find_row(const char *line, uint32_t line_bytes, struct queue_text *ret_rest)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t word_bytes = strlen(rows[i].word);

		if (word_bytes <= line_bytes && memcmp(line, rows[i].word, word_bytes) == 0) {
			*ret_rest = (struct queue_text){ line + word_bytes, line + line_bytes };
			return &rows[i];
		}
	}
	return NULL;
}

void
request_error(struct queue_request *r, enum queue_reply reply)
{
	*r = (struct queue_request){
		.verb = QUEUE_VERB_ERROR,
		.reply = reply,
		.counter = QUEUE_COUNTER_COUNT,
	};
}

/* From here on it is counted, whatever else is wrong with it. */
static void
fail_counted(struct queue_request *r, enum queue_reply reply)
{
	*r = (struct queue_request){
		.verb = QUEUE_VERB_ERROR,
		.reply = reply,
		.counter = r->counter,
		.bytes = r->bytes, /* of the body that comes all the same */
	};
}

static void
finish(struct queue_request *r, const struct queue_text *rest, uint32_t job_bytes_max)
{
	if (r->verb == QUEUE_VERB_PUT && r->bytes > job_bytes_max)
		fail_counted(r, QUEUE_REPLY_JOB_TOO_BIG);
	else if (r->verb == QUEUE_VERB_PUT && !is_at_end(rest))
		fail_counted(r, QUEUE_REPLY_BAD_FORMAT);
	else if (r->verb == QUEUE_VERB_PAUSE_TUBE && !is_name_valid(r))
		fail_counted(r, QUEUE_REPLY_BAD_FORMAT);
}

void
request_parse(const char *line, uint32_t line_bytes, uint32_t job_bytes_max,
	struct queue_request *ret_request)
{
	struct queue_text rest;
	const struct row *row;

	if (memchr(line, '\0', line_bytes) != NULL) {
		request_error(ret_request, QUEUE_REPLY_BAD_FORMAT);
		return;
	}
	row = find_row(line, line_bytes, &rest);
	if (row == NULL) {
		request_error(ret_request, QUEUE_REPLY_UNKNOWN_COMMAND);
		return;
	}
	*ret_request = (struct queue_request){ .verb = row->verb, .counter = row->counter };
	if (row->rest(&rest, ret_request))
		finish(ret_request, &rest, job_bytes_max);
	else
		request_error(ret_request, QUEUE_REPLY_BAD_FORMAT);
}
