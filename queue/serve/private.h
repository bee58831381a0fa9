/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file private.h
 * What the files of the gateway offer each other. All of it runs on the gateway's thread, unless it
 * says something else.
 *
 *   gateway.c    the public functions, and what the shard's thread calls
 *   loop.c       the thread: when it polls and when it sleeps; what was completed
 *   stats.c      numbers for metrics
 *   session.c    attach, keep alive, count, lose everything and begin anew
 *   listen.c     addresses, sockets, new clients
 *   tls.c        certificates and keys
 *   tls_stream.c a client's bytes, sealed and opened (tls.h)
 *   client.c     one client: its bytes, its order, its end
 *   requests.c   what it asked becomes commands and reads
 *   answers.c    what became of the commands
 *   reads.c      what became of the reads
 *
 * The way of a request:
 *
 *   waiting    parsed, in the client's queue
 *   flying     proposed; several of one client may be
 *   answered   executed; its reply waits for those before it, a reserve's also for the job
 *   parked     a reserve that waits in the machine
 *   finished   its reply is in the client's output; it is gone
 *
 * One client's requests are executed and answered in its order. Commands of one session are
 * completed in the order in which they were proposed, so a completion is always that of the first
 * of its client's requests that fly. What is proposed behind a reserve that flies bears the mark
 * AFTER. If that reserve is parked, all of them come back BEHIND, and become waiting ones again;
 * nothing starts until the last of them is back, and the wait has ended. So that a worker who asks
 * for many jobs where they come one by one does not fill the log with what comes back, nothing
 * flies behind the next reserve then, and with each one that need not wait twice as much may.
 *
 * A *barrier* is a request with which others of its client cannot fly together: a read, since it
 * would not see what was asked before or would see what was asked after it; a kick of more than one
 * command.
 *
 * What may fail: the proposer's window is full, or 64 reads are under way: the client stands in a
 * queue until there is room again. A client that does not read its replies, or asks too much at
 * once, is not read from. The session is lost: all clients go.
 */
#ifndef QUEUE_SERVE_PRIVATE_H
#define QUEUE_SERVE_PRIVATE_H

#include "queue/assert.h"
#include "queue/gateway.h"
#include "queue/protocol.h"
#include "queue/serve/handover.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <sys/queue.h>

#define CLIENT_COUNT_MAX  65536u
#define REQUEST_COUNT_MAX 64u          /* of one client, parsed and not answered */
#define REQUEST_BYTES_MAX (512u << 10) /* the same, but at least one */
#define INPUT_BYTES_MAX   (64u << 10)  /* of one client, not parsed */
#define OUTPUT_BYTES_MAX                                                                           \
	(1u << 20) /* of one client, not sent: more only by what was under way before it came to that */
#define OUTPUT_BYTES_LOW (256u << 10) /* then it goes on */
/* The jobs that one client's reserves may bring together; but one reserve may always be under way. */
#define RESERVED_BYTES_MAX (4u << 20)
#define HANDOVER_BYTES     (16u << 20)
#define SESSION_WINDOW_MAX 65536u /* that a cluster may be configured for */
#define HANDOVER_WORDS_MAX (CLIENT_COUNT_MAX + SESSION_WINDOW_MAX)
#define LISTEN_COUNT_MAX   16
/* Tubes that one client may watch, but for those that it asks for meanwhile. A reserve looks at each
 * of them, on the shard's thread of every node: with a hundred thousand it takes 5 ms. */
#define WATCH_COUNT_MAX 4096u
/* That clients leave to the node: to its snapshots, without which the log fills and all stands
 * still, and to whoever looks after it. */
#define DESCRIPTORS_KEPT 64u

struct request {
	struct request *next;
	enum queue_verb verb;
	enum queue_reply reply; /* ERROR */
	enum queue_counter counter;
	bool is_producer;
	bool is_flying;
	bool is_counted;              /* among its client's reserves */
	struct queue_command command; /* the tail is our own; op 0: this is no command */
	struct queue_query query;     /* the same; kind 0: no read */

	/* Of its command, as it was completed. */
	bool is_answered;
	enum queue_status status;
	uint64_t seq, result;

	uint64_t kicked;
	/* A reserve has ended when it is answered with anything but PARKED and OK, or answered and
	 * told; a peek that is told has its whole body. */
	bool is_told;
	enum queue_status told;
	uint64_t id;           /* of the job that was reserved or found */
	uint32_t body_bytes;   /* of the same */
	struct evbuffer *text; /* what there is of the reply, if it comes in pieces */
	uint32_t offset;       /* of the body's next piece */

	uint32_t tail_bytes;
	uint8_t tail[];
};

enum client_phase {
	CLIENT_NEW,     /* has no connection */
	CLIENT_OPENING, /* OPEN flies, nothing else does */
	CLIENT_OPEN,
	CLIENT_CLOSING, /* the client is gone, CLOSE flies or stands in the queue */
};

enum blocked {
	BLOCKED_COMMAND, /* the window was full */
	BLOCKED_READ,    /* too many reads were under way */
	BLOCKED_COUNT,
	BLOCKED_NOT = BLOCKED_COUNT,
};

struct client {
	struct queue_gateway *g;
	uint64_t number; /* of the connection: never used again. Its place is the low part */
	struct bufferevent *bev; /* NULL: the client is gone, this waits for completions */
	struct event *hang_up;   /* NULL: it is read from, and so its end would be seen */
	struct tls_stream *tls;  /* NULL: the bytes of its socket are its requests and replies */
	struct queue_parser parser;

	enum client_phase phase;
	bool has_eof;     /* it says nothing more; it is gone when all is answered */
	bool has_quit;    /* the same, and what it sends is ignored */
	bool has_hung_up; /* the same, but not all of what it has said is read yet */
	bool has_failed;
	bool is_paused;     /* it is not read from: too much of what it has said waits */
	bool is_cancelling; /* CANCEL flies */
	bool has_barrier;   /* the last request that was started is one */
	bool is_read_due;   /* of the first request: to be asked */
	bool is_reading;    /* it was asked */
	bool is_expecting;  /* the body of the first request's job should be in the handover */
	bool has_close_due; /* CLOSE could not be proposed yet */
	bool is_unflushed;  /* it has replies that nobody has tried to send */
	uint32_t flying;    /* commands without a completion, of whatever kind */

	struct request *first, *last;
	/* the first one that flies; if none does, the same as the next one */
	struct request *unanswered;
	struct request *waiting; /* the first one that was not started */
	struct request *parked;  /* NULL: none */
	/* The first of those behind it that fly or have come back, until all of them have. NULL:
	 * none are on their way. */
	struct request *behind;
	uint32_t reserves_flying;
	uint32_t flying_max;    /* while a reserve flies; 1: nothing behind it */
	uint32_t reserve_count; /* started and not finished */
	uint32_t request_count, request_bytes;
	uint32_t watch_count;    /* as it was last told */
	struct request *filling; /* a put whose body is on its way */

	enum blocked blocked;
	TAILQ_ENTRY(client) in_blocked;
	TAILQ_ENTRY(client) in_expecting;
	TAILQ_ENTRY(client) in_unflushed;
};
TAILQ_HEAD(client_list, client);
TAILQ_HEAD(tls_list, tls_stream);

/* What the shard's thread needs to know about our sleep. */
enum sleep_state {
	SLEEP_NOT,
	SLEEP_IDLE, /* wake us for a word in the handover */
	SLEEP_BUSY, /* wake us for anything: commands are in flight, but none was executed for long */
};

enum gateway_phase {
	GATEWAY_DOWN,      /* no proposer */
	GATEWAY_ATTACHING, /* ATTACH flies */
	GATEWAY_UP,
	GATEWAY_OVER, /* the node has stopped */
};

struct queue_gateway {
	struct queue_gateway_options options;
	struct decree_node *node;
	const struct queue_machine *machine; /* the shard's: only to ask whether it had room */
	pthread_t thread;
	bool has_thread;

	/* Other threads than the gateway's read this, and write it seldom; the shard's looks at
	 * `session` for each command. */
	_Alignas(64) _Atomic bool is_stopping;
	_Atomic bool is_draining;
	_Atomic bool has_restored;
	_Atomic uint64_t session; /* whose words are for us; 0: none */
	int wake_fd;
	struct handover handover;

	/* The shard's thread writes, with each slot that it applies. */
	/* gateway_moment_ns() when a slot was last applied: the log's time was that slot's stamp
	 * then, and goes on like any clock. Relaxed: a few milliseconds make no difference. 0: none
	 * yet */
	_Alignas(64) _Atomic uint64_t applied_ns;
	_Atomic int shard_cpu; /* on which it ran then: a hint, relaxed */
	bool has_news;         /* its own */
	/* Both write: the gateway's goes to sleep, the shard's wakes it. */
	_Alignas(64) _Atomic uint32_t sleep; /* enum sleep_state */
	/* The gateway's writes, whoever serves metrics reads. */
	_Alignas(64) _Atomic uint64_t stats[QUEUE_STAT_COUNT]; /* relaxed, as the next one */
	_Atomic uint64_t client_count;
	_Atomic bool has_stats;

	/* Owner: the gateway's thread. */
	_Alignas(64) struct event_base *base;
	struct event *wake_event, *tick_event, *nap_event;
	struct listening {
		struct queue_gateway *g;
		struct evconnlistener *listener;
		char name[QUEUE_ADDRESS_BYTES];
		char path[108]; /* of a unix socket, to be removed; "": somebody else made it */
		uint16_t port;
		bool is_tls, is_remote; /* others than this host may reach it */
	} listens[LISTEN_COUNT_MAX];
	uint32_t listen_count;
	uint32_t client_count_max; /* that the process may have descriptors for, and we places */
	bool has_complained;       /* about accept() */
	uint64_t accept_at_ns;     /* not before; 0: accepting */
	struct ssl_ctx_st *tls;    /* NULL: nobody has named a certificate */
	struct bio_method_st *tls_bio;
	struct tls_list handshakes; /* under way, the oldest first */
	uint32_t handshake_count;
	uint32_t handshake_steps;   /* that may still be made in this turn */
	bool has_handshake_waiting; /* for the next one */
	uint64_t tls_complain_at_ns;

	enum gateway_phase phase;
	bool is_lost; /* begin anew as soon as nothing refers to clients */
	struct decree_proposer *proposer;
	uint32_t flying, reading; /* without a completion */
	uint64_t done_seq; /* of the last command that was completed; 0: none of this session */
	uint64_t reopen_at_ns, count_at_ns, alive_at_ns;
	uint64_t counts[QUEUE_COUNTER_COUNT];
	bool is_asking_stats;
	uint64_t stats_at_ns;
	uint8_t *scratch; /* [scratch_bytes] a command */
	uint32_t scratch_bytes;

	struct client *clients[CLIENT_COUNT_MAX]; /* by place */
	uint32_t free_places[CLIENT_COUNT_MAX];
	uint32_t free_count;
	uint64_t generation;
	struct client_list blocked[BLOCKED_COUNT];
	bool is_full[BLOCKED_COUNT];
	struct client_list expecting;
	struct client_list unflushed;

	uint64_t now_ns; /* monotonic, once a turn */
	uint64_t started_ns;
	uint64_t random_id;
	char hostname[256], os[256], platform[256];
};
/* What one thread writes in its loop is on no line that another one looks at in its own. */
static_assert(offsetof(struct queue_gateway, is_stopping) % 64 == 0 &&
		      offsetof(struct queue_gateway, applied_ns) % 64 == 0 &&
		      offsetof(struct queue_gateway, sleep) % 64 == 0 &&
		      offsetof(struct queue_gateway, stats) % 64 == 0 &&
		      offsetof(struct queue_gateway, base) % 64 == 0,
	"a line for each of them");
static_assert(offsetof(struct queue_gateway, has_news) / 64 ==
		      offsetof(struct queue_gateway, applied_ns) / 64,
	"the same writer");

/* ------------------------------------------------------------------------------ gateway.c */

void gateway_log(struct queue_gateway *g, enum decree_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Monotonic, exact to a tick of the kernel's, and therefore cheap enough for every slot. Any
 * thread. */
uint64_t gateway_moment_ns(void);

/* ------------------------------------------------------------------------------ loop.c */

/** @param context  the struct queue_gateway. The thread. */
void *gateway_loop(void *context);

/* ------------------------------------------------------------------------------ session.c */

/** Open the proposer, attach, count, keep alive: whatever is due. */
void session_tend(struct queue_gateway *g);
/** A command of the gateway's own was completed. */
void session_on_done(struct queue_gateway *g, const struct decree_completion *done);
/** All clients are dropped without a word, and the proposer is closed. */
void session_drop(struct queue_gateway *g);
/** @param cookie  a client, or NULL: the gateway's own. @return as decree_propose() */
int session_propose(struct queue_gateway *g, const struct queue_command *c, struct client *cookie);
void session_count(struct queue_gateway *g, enum queue_counter counter);

/* ------------------------------------------------------------------------------ listen.c */

int listen_open(struct queue_gateway *g, const char *address, char *ret_error);
/** The same with a socket that is open already. */
int listen_take(struct queue_gateway *g, const struct queue_socket *socket, char *ret_error);
/** Of what is probably not meant. */
void listen_warn(struct queue_gateway *g);
void listen_start(struct queue_gateway *g);
void listen_close(struct queue_gateway *g);
/** A pause may be over. */
void listen_tend(struct queue_gateway *g);
/** How many clients this process may have, from what is open now. Before listen_start(). */
void listen_measure(struct queue_gateway *g);

/* ------------------------------------------------------------------------------ client.c */

/** @return false: there is no room; the socket is closed */
bool client_accept(struct queue_gateway *g, evutil_socket_t fd, bool is_tls);
/** Parse, propose, reply: as far as it goes. It may be gone afterwards. */
void client_run(struct client *c);
/** It is gone: its connection closes as soon as that can be proposed. The client may be freed. */
void client_drop(struct client *c);
/** The same without a word to anybody, and at once. */
void client_free(struct client *c);
/** If nothing refers to it any more. */
void client_free_if_done(struct client *c);
/** Try again when there is room. */
void client_block(struct client *c, enum blocked why);
/** The first request is answered. */
void client_finish(struct client *c);
/** Where its replies go. They are sent at the end of the turn. */
struct evbuffer *client_output(struct client *c);
/** Send what clients were answered in this turn. Some may be gone afterwards. */
void client_flush_all(struct queue_gateway *g);
/** A reply, or a part of one. Without memory the client has failed: a reply is never left out, so
 * that no other one is taken for it. */
void client_say(struct client *c, const void *bytes, size_t count);
/** The same. @param text  is empty afterwards */
void client_say_text(struct client *c, struct evbuffer *text);
void client_reply_word(struct client *c, enum queue_reply reply);
struct client *client_find(struct queue_gateway *g, uint64_t number);

/* ------------------------------------------------------------------------------ requests.c */

/** @return the request as it will be executed, or NULL: there is no memory. Of a put its head: the
 * body's place is in it */
struct request *request_create(const struct client *c, const struct queue_request *q);
void request_free(struct request *r);
/** Start the first waiting request. @return whether it flies or is finished */
bool request_start(struct client *c);
/** Nothing of the client flies: the first waiting request is that one, which was started before. */
void request_go_back(struct client *c, struct request *r);
/** The end of what is due to a client that is gone. */
void request_close(struct client *c);
void request_cancel(struct client *c);

/* ------------------------------------------------------------------------------ answers.c */

/** A command of the client was completed and applied. */
void answer_on_done(struct client *c, const struct decree_completion *done);
/** Reply to what is answered and stands first. */
void answer_settle(struct client *c);
bool answer_is_reserve(const struct request *r);
/** The word for the first request should be in the handover. */
void answer_expect(struct client *c);
void answer_expect_no_more(struct client *c);
/** A body, out of the ring. @return false: there is no memory */
bool
answer_add_body(struct queue_gateway *g, struct evbuffer *to, const struct handover_word *word);
/** The machine's words for our clients. */
void answer_on_words(struct queue_gateway *g);

/* ------------------------------------------------------------------------------ reads.c */

/** Ask what the first request wants to know. */
void read_ask(struct client *c);
/** Get the body of the job that was reserved. */
void read_body(struct client *c);
void read_on_done(struct client *c, const struct decree_completion *done);
/** A read has found a job: here is its body. */
void read_on_found(struct client *c, const struct handover_word *word);
/** It does not come, and is asked for. */
void read_go_on(struct client *c);

/* ------------------------------------------------------------------------------ stats.c */

/** Ask if it is time. */
void stats_tend(struct queue_gateway *g);
void stats_on_done(struct queue_gateway *g, const struct decree_completion *done);

#endif
