/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file command.h
 * The commands of the queue's log, as bytes, and what they are answered with.
 *
 * A gateway proposes them in its own session; `connection` is a number that it chose for one of its
 * clients when it opened it, and (session, connection) names the client everywhere. Limits that a
 * client could break (names, sizes, numbers) are the gateway's to check; the machine checks only
 * what it needs to stay whole.
 *
 * A gateway is attached from ATTACH until QUEUE_SILENCE_S of cluster time pass without any command
 * of its session, or another session attaches under its number. Then it is detached: its clients
 * are gone, and their reserves answered with CLOSED.
 *
 * Bytes, little-endian: op 1, its highest bit the mark AFTER, connection 8, then those of these
 * that the command has, in this order: id 8, pri 4, seconds 4, ttr_s 4, bound 4, flag 1, and the
 * tail up to the end.
 *
 *   command           fields                        tail       answer (status and result)
 *   ATTACH            id = the node, 1 .. 65535                OK: connections that the gateway before it had. OUT_OF_MEMORY
 *   OPEN                                                       OK: the session's number, which reads and on_reserved()
 *                                                              name. EXISTS, OUT_OF_MEMORY
 *   CLOSE                                                      OK
 *   PUT               pri, seconds = delay, ttr_s   body       OK: job id. OUT_OF_MEMORY
 *   USE                                             name       OK, OUT_OF_MEMORY
 *   RESERVE                                                    OK: job id. DEADLINE_SOON, PARKED
 *   RESERVE_TIMEOUT   seconds                                  the same, and TIMED_OUT
 *   RESERVE_JOB       id                                       OK: job id. NOT_FOUND
 *   DELETE            id                                       OK, NOT_FOUND
 *   RELEASE           id, pri, seconds = delay                 OK, NOT_FOUND
 *   BURY              id, pri                                  OK, NOT_FOUND
 *   TOUCH             id                                       OK, NOT_FOUND
 *   WATCH                                           name       OK: tubes watched. OUT_OF_MEMORY
 *   IGNORE                                          name       OK: tubes watched. NOT_IGNORED
 *   KICK              bound, flag = kick kind                  OK: jobs kicked | kick kind << 32
 *   KICK_JOB          id                                       OK, NOT_FOUND
 *   PAUSE_TUBE        seconds                       name       OK, NOT_FOUND
 *   CANCEL                                                     OK: 1 if a waiting reserve was given up with TIMED_OUT
 *   COUNT             flag = a producer             pairs      OK
 *
 * A reserve that is answered PARKED waits. How that ends is not an answer but told by on_reserved()
 * (machine.h), on every node: an unanswered command would hold its place in the session's window,
 * and thousands of workers may wait.
 *
 * What stands behind a reserve may be proposed before that is answered, with the mark AFTER: "only
 * if no reserve before me had to wait". A connection remembers that a reserve of it was PARKED,
 * also when that wait is over, until its next command without the mark. As long as it does, each
 * one with the mark is answered BEHIND. The gateway keeps those, and when the wait has ended
 * proposes them again in their order, the first without the mark. So they are executed after
 * whatever ended the wait, however late that is known, as if they had not been proposed at all
 * before. OPEN, CLOSE, CANCEL, ATTACH, and COUNT without the flag never bear it, and CLOSE and
 * CANCEL do not make the connection forget.
 *
 * ATTACH and COUNT are the gateway's own. ATTACH changes nothing if it is attached under that
 * number already, and is a BAD_COMMAND if it is attached under another one. COUNT looks at
 * `connection` only for the flag: a gateway that has nothing to say says COUNT without pairs, so
 * that it is heard.
 *
 * Every one of them may also be answered with BAD_COMMAND; OPEN and COUNT with NO_GATEWAY; those of
 * a connection with NO_CONNECTION, and while it waits with WAITS, or with the mark BEHIND (CLOSE
 * and CANCEL excepted). Answers other than OK change nothing but counters and, where it is a
 * reserve, who counts as a worker; OUT_OF_MEMORY, WAITS, BEHIND, NO_CONNECTION, NO_GATEWAY and
 * BAD_COMMAND change nothing at all. But whatever the answer, the gateway was heard; and a command
 * without the mark lets its connection forget, unless it is answered WAITS.
 */
#ifndef QUEUE_COMMAND_H
#define QUEUE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_NAME_BYTES_MAX 200 /* of a tube */

/* Of a command without its tail. */
#define QUEUE_COMMAND_FIXED_BYTES_MAX 29

enum queue_op {
	QUEUE_OPEN = 1,
	QUEUE_CLOSE = 2,
	QUEUE_PUT = 4,
	QUEUE_USE = 5,
	QUEUE_RESERVE = 6,
	QUEUE_RESERVE_TIMEOUT = 7,
	QUEUE_RESERVE_JOB = 8,
	QUEUE_DELETE = 9,
	QUEUE_RELEASE = 10,
	QUEUE_BURY = 11,
	QUEUE_TOUCH = 12,
	QUEUE_WATCH = 13,
	QUEUE_IGNORE = 14,
	QUEUE_KICK = 15,
	QUEUE_KICK_JOB = 16,
	QUEUE_PAUSE_TUBE = 17,
	QUEUE_CANCEL = 18,
	QUEUE_COUNT = 19,
	QUEUE_ATTACH = 20,
};
#define QUEUE_OP_COUNT 21

/* A gateway of which nothing was heard for so long is detached. Of the time between two calls of
 * apply() no more counts than QUEUE_SILENCE_STEP_MS: when the log itself stood still, nobody could
 * be heard. */
#define QUEUE_SILENCE_S       10
#define QUEUE_SILENCE_STEP_MS 2500

/** The status of an answer. */
enum queue_status {
	QUEUE_OK = 0,
	QUEUE_NOT_FOUND = 1,
	QUEUE_TIMED_OUT = 2,
	QUEUE_DEADLINE_SOON = 3,
	QUEUE_NOT_IGNORED = 4,
	QUEUE_OUT_OF_MEMORY = 5,
	QUEUE_NO_CONNECTION = 6, /* never opened, or closed: the gateway drops its client */
	QUEUE_EXISTS = 7,        /* that connection is open already */
	QUEUE_WAITS = 8,         /* a reserve of this connection waits */
	/* the connection was closed while it waited: no answer, but the end of a wait */
	QUEUE_CLOSED = 9,
	QUEUE_BAD_COMMAND = 10,
	/* never attached, or detached: it drops its clients, and attaches anew */
	QUEUE_NO_GATEWAY = 11,
	QUEUE_PARKED = 12, /* a reserve that waits from now on */
	QUEUE_BEHIND = 13, /* a reserve before it had to wait: to be proposed again */
};

/**
 * One KICK moves at most this many jobs, so that a shard's turn stays short. The gateway repeats it
 * with what is left of the client's bound and the kind of the first answer, until that is used up
 * or an answer falls short of this.
 */
#define QUEUE_KICK_COUNT_MAX 1024

enum queue_kick {
	/* the first one: buried jobs if there are any, else delayed ones; counted in cmd-kick */
	QUEUE_KICK_ANY = 0,
	QUEUE_KICK_BURIED = 1,  /* goes on with buried ones, or */
	QUEUE_KICK_DELAYED = 2, /* with delayed ones; not counted again */
};

/** The counters of `stats`, in its order. Those of reads are counted by COUNT, the others by the
 * commands. */
enum queue_counter {
	QUEUE_CMD_PUT,
	QUEUE_CMD_PEEK,
	QUEUE_CMD_PEEK_READY,
	QUEUE_CMD_PEEK_DELAYED,
	QUEUE_CMD_PEEK_BURIED,
	QUEUE_CMD_RESERVE,
	QUEUE_CMD_RESERVE_TIMEOUT,
	QUEUE_CMD_DELETE,
	QUEUE_CMD_RELEASE,
	QUEUE_CMD_USE,
	QUEUE_CMD_WATCH,
	QUEUE_CMD_IGNORE,
	QUEUE_CMD_BURY,
	QUEUE_CMD_KICK,
	QUEUE_CMD_TOUCH,
	QUEUE_CMD_STATS,
	QUEUE_CMD_STATS_JOB,
	QUEUE_CMD_STATS_TUBE,
	QUEUE_CMD_LIST_TUBES,
	QUEUE_CMD_LIST_TUBE_USED,
	QUEUE_CMD_LIST_TUBES_WATCHED,
	QUEUE_CMD_PAUSE_TUBE,
	QUEUE_JOB_TIMEOUTS,
	QUEUE_TOTAL_JOBS,
	QUEUE_TOTAL_CONNECTIONS,
	QUEUE_COUNTER_COUNT,
};

/* A pair of COUNT: counter 1 (up to QUEUE_CMD_PAUSE_TUBE), how many more 4. */
#define QUEUE_COUNT_PAIR_BYTES 5

/** A decoded command. Fields that it does not have are 0. */
struct queue_command {
	enum queue_op op;
	bool is_after; /* it bears the mark */
	uint64_t connection;
	uint64_t id;
	uint32_t pri;
	uint32_t seconds;
	uint32_t ttr_s;
	uint32_t bound;
	uint8_t flag;
	const void *tail; /* [tail_bytes], lent */
	uint32_t tail_bytes;
};

/**
 * @param ret  [capacity]
 * @return bytes written, or 0: no such command, or it does not fit
 */
size_t queue_command_encode(const struct queue_command *c, void *ret, size_t capacity);

/**
 * @param bytes  [count], lent as long as @p ret_c is used: its tail points there
 * @return 0 or -EBADMSG
 */
int queue_command_decode(const void *bytes, size_t count, struct queue_command *ret_c);

#endif
