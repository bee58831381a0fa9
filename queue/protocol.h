/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file protocol.h
 * The beanstalk protocol as bytes: a parser of what a client says, and all the replies. Pure
 * functions: no socket, no clock.
 *
 * What is right is what beanstalkd does, and not what its text says: the rows of
 * tests/lib/beanstalk_rows.c hold both to it.
 *
 * One connection's input goes through one `struct queue_parser`, in pieces of any size; how it is
 * cut makes no difference. A put comes as PUT (its head), BODY (parts, none if it is empty),
 * BODY_END, so that a body of any size is copied once and into memory that was asked for by its
 * size.
 *
 * Threads:  none of its own; a parser belongs to whoever feeds it.
 * Errors:   a client's are requests of the verb ERROR, with the reply that they get. Functions that
 *           write return the bytes written, or 0 if those do not fit.
 * Memory:   the caller's. The parser holds one incomplete line, nothing else.
 */
#ifndef QUEUE_PROTOCOL_H
#define QUEUE_PROTOCOL_H

#include "queue/query.h"

#include <stdbool.h>

/* A line with its end. A longer one is BAD_FORMAT when its end comes. */
#define QUEUE_LINE_BYTES_MAX 224

/* Of bodies, unless told otherwise. */
#define QUEUE_JOB_BYTES_MAX_DEFAULT 65535

enum queue_verb {
	QUEUE_VERB_NONE = 0, /* the bytes are used up, more are needed */
	QUEUE_VERB_ERROR,    /* `reply` is all that it gets */
	QUEUE_VERB_PUT,  /* pri, delay_s, ttr_s, bytes; BODY ... BODY_END follow, or one ERROR */
	QUEUE_VERB_BODY, /* part, part_bytes: the next ones of the body */
	QUEUE_VERB_BODY_END, /* all of it was there, and its end is right */
	QUEUE_VERB_PEEK,     /* id */
	QUEUE_VERB_PEEK_READY,
	QUEUE_VERB_PEEK_DELAYED,
	QUEUE_VERB_PEEK_BURIED,
	QUEUE_VERB_RESERVE,
	QUEUE_VERB_RESERVE_TIMEOUT, /* timeout_s */
	QUEUE_VERB_RESERVE_JOB,     /* id */
	QUEUE_VERB_DELETE,          /* id */
	QUEUE_VERB_RELEASE,         /* id, pri, delay_s */
	QUEUE_VERB_BURY,            /* id, pri */
	QUEUE_VERB_KICK,            /* bound */
	QUEUE_VERB_KICK_JOB,        /* id */
	QUEUE_VERB_TOUCH,           /* id */
	QUEUE_VERB_STATS,
	QUEUE_VERB_STATS_JOB,  /* id */
	QUEUE_VERB_STATS_TUBE, /* name */
	QUEUE_VERB_USE,        /* name */
	QUEUE_VERB_WATCH,      /* name */
	QUEUE_VERB_IGNORE,     /* name */
	QUEUE_VERB_LIST_TUBES,
	QUEUE_VERB_LIST_TUBE_USED,
	QUEUE_VERB_LIST_TUBES_WATCHED,
	QUEUE_VERB_PAUSE_TUBE, /* name, delay_s */
	QUEUE_VERB_QUIT, /* close, after what was asked before is answered; nothing behind it counts */
};

/** The replies that are one word. */
enum queue_reply {
	QUEUE_REPLY_OUT_OF_MEMORY,
	QUEUE_REPLY_INTERNAL_ERROR,
	QUEUE_REPLY_DRAINING,
	QUEUE_REPLY_BAD_FORMAT,
	QUEUE_REPLY_UNKNOWN_COMMAND,
	QUEUE_REPLY_EXPECTED_CRLF,
	QUEUE_REPLY_JOB_TOO_BIG,
	QUEUE_REPLY_NOT_FOUND,
	QUEUE_REPLY_DELETED,
	QUEUE_REPLY_RELEASED,
	QUEUE_REPLY_BURIED,
	QUEUE_REPLY_TOUCHED,
	QUEUE_REPLY_KICKED,
	QUEUE_REPLY_PAUSED,
	QUEUE_REPLY_NOT_IGNORED,
	QUEUE_REPLY_TIMED_OUT,
	QUEUE_REPLY_DEADLINE_SOON,
	QUEUE_REPLY_COUNT,
};

struct queue_request {
	enum queue_verb verb;
	enum queue_reply reply; /* ERROR */

	/* What `stats` counts it as, or QUEUE_COUNTER_COUNT: as nothing. Commands of the log are
	 * counted by the machine; whoever answers by itself (reads, errors, a put that it refuses)
	 * has it counted by COUNT. */
	enum queue_counter counter;
	bool is_producer; /* ERROR: the head of a put was good, so the client is a producer from now on */

	uint64_t id;
	uint32_t pri;
	uint32_t delay_s; /* PAUSE_TUBE: of the pause */
	uint32_t ttr_s;
	uint32_t bytes;     /* of the body, at most job_bytes_max */
	uint32_t bound;     /* most jobs to kick */
	uint32_t timeout_s; /* at most INT32_MAX */

	/* Lent until the parser is fed again: they point into the bytes that it was fed with, or
	 * into the parser. */
	const char *name; /* [name_bytes], valid and at most QUEUE_NAME_BYTES_MAX */
	uint32_t name_bytes;
	const uint8_t *part; /* [part_bytes], at least one */
	uint32_t part_bytes;
};

/** Its fields are its own. */
struct queue_parser {
	uint32_t job_bytes_max;
	uint8_t state;
	uint8_t skip_reply;       /* what a body that is thrown away gets in the end */
	uint8_t skip_is_producer; /* whether the head of that put was good */
	uint8_t line_bytes;       /* of what there is of a line, or of a body's end */
	/* bytes that are to come, without the two of its end; with them if it is skipped */
	uint64_t body_left;
	char line[QUEUE_LINE_BYTES_MAX];
};

/** @param job_bytes_max  a put of a larger body is answered JOB_TOO_BIG */
void queue_parser_init(struct queue_parser *p, uint32_t job_bytes_max);

/**
 * Take bytes of the connection's input, up to the end of one request.
 *
 * @param bytes  [count], not needed afterwards but for what @p ret_request lends
 * @return bytes taken: all of them if the verb is NONE
 */
size_t queue_parser_feed(struct queue_parser *p, const uint8_t *bytes, size_t count,
	struct queue_request *ret_request);

/**
 * Between PUT and BODY_END: there is no room for the body. What is left of it is thrown away
 * unseen, its end too, and then comes an ERROR with this reply, counted as a put.
 */
void queue_parser_skip_body(struct queue_parser *p, enum queue_reply reply);

/** @return whether the input may end here: no line and no put is incomplete */
bool queue_parser_is_idle(const struct queue_parser *p);

/** @return whether a put has begun whose end, and with it the request that counts it, is still to
 * come */
bool queue_parser_is_in_put(const struct queue_parser *p);

/* ------------------------------------------------------------------------------ replies */

/* Of every reply but those of stats and the lists: USING and a name is the longest. Bodies come
 * extra. */
#define QUEUE_REPLY_BYTES_MAX 256

/** "WORD\r\n" */
size_t queue_reply_word(enum queue_reply reply, char *ret, size_t capacity);

/** "INSERTED id\r\n" */
size_t queue_reply_inserted(uint64_t id, char *ret, size_t capacity);
/** "WATCHING count\r\n" */
size_t queue_reply_watching(uint64_t count, char *ret, size_t capacity);
/** "KICKED count\r\n", of kick; kick-job gets the word */
size_t queue_reply_kicked(uint64_t count, char *ret, size_t capacity);
/** "USING name\r\n" */
size_t queue_reply_using(const void *name, uint32_t name_bytes, char *ret, size_t capacity);

/** "RESERVED id bytes\r\n"; the body and "\r\n" follow */
size_t queue_reply_reserved(uint64_t id, uint32_t body_bytes, char *ret, size_t capacity);
/** "FOUND id bytes\r\n"; the body and "\r\n" follow */
size_t queue_reply_found(uint64_t id, uint32_t body_bytes, char *ret, size_t capacity);
/** "OK bytes\r\n"; so many bytes of YAML and "\r\n" follow */
size_t queue_reply_ok(uint64_t yaml_bytes, char *ret, size_t capacity);

/* --------------------------------------------------------------- stats and lists: whole replies */

/* A buffer that each of the three stats fits in, if the strings of queue_server are at most 255
 * bytes. */
#define QUEUE_STATS_BYTES_MAX 4096

/** What of `stats` only the server knows. */
struct queue_server {
	bool has_old_yaml; /* as 1.12 says it: names, hostname, os and platform without quotes */
	uint32_t job_bytes_max;
	uint64_t pid;
	uint64_t user_time_us;
	uint64_t system_time_us;
	uint64_t uptime_s;
	bool is_draining;
	uint64_t id; /* of this process: random */
	const char *hostname;
	const char *os;
	const char *platform;
};

/** @param numbers  [QUEUE_STAT_COUNT], as STATS was answered */
size_t queue_reply_stats(
	const struct queue_server *server, const uint64_t *numbers, char *ret, size_t capacity);

/** @param numbers  [QUEUE_JOB_STAT_COUNT], as STATS_JOB was answered */
size_t queue_reply_stats_job(bool has_old_yaml, const uint64_t *numbers, const void *tube,
	uint32_t tube_bytes, char *ret, size_t capacity);

/** @param numbers  [QUEUE_TUBE_STAT_COUNT], as STATS_TUBE was answered */
size_t queue_reply_stats_tube(bool has_old_yaml, const uint64_t *numbers, const void *tube,
	uint32_t tube_bytes, char *ret, size_t capacity);

/**
 * A list of tubes grows name by name, as the answers to LIST_TUBES come: its YAML is
 * queue_yaml_list(), then queue_yaml_item() for each name. Then its size is known, for
 * queue_reply_ok().
 */
size_t queue_yaml_list(char *ret, size_t capacity);
size_t queue_yaml_item(const void *name, uint32_t name_bytes, char *ret, size_t capacity);

#endif
