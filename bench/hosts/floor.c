/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between the hosts. Everything is asked for again until it is answered, and every
 * number only grows, so that a frame may be lost, doubled or late.
 *
 *	HELLO  follower -> leader   I am there; number: bytes of a block. Until the first STEP
 *	STEP   leader -> followers  this step begins, or (END) all is over; number: how long it takes, ms
 *	READY  follower -> leader   I am in this step; number: p50 << 32 | p99 of what it has appended, ns
 *	ASK    leader -> followers  make this round durable, or echo it
 *	TOLD   follower -> leader   every round up to this one is
 *	GONE   both                 I end: somebody has interrupted me, or my disk fails
 *
 * A follower that hears nothing for 20 s more than the step takes ends, and so does a leader that
 * misses an answer for 20 s. Who was started anew is found by the number of the run.
 */
#include "bench/hosts/floor.h"

#include "apps/options.h"
#include "base/clock.h"
#include "bench/asker.h"
#include "bench/wait.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WARM_UP_COUNT 500
#define RESEND_NS     UINT64_C(100000000)
#define SILENCE_NS    UINT64_C(20000000000)
#define END_NS        UINT64_C(2000000000) /* for the last answers */
#define READY_COUNT   3 /* of a follower's last one, which nobody asks for again */
#define STEP_END      UINT8_MAX

enum kind {
	HELLO = 1,
	STEP,
	READY,
	ASK,
	TOLD,
	GONE
};

static volatile sig_atomic_t is_interrupted;

void
hosts_interrupt(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

/* ------------------------------------------------------------------------------ both */

static void
send_to(struct hosts_floor *f, uint32_t to, enum kind kind, uint64_t number)
{
	lane_send(&f->lane, to,
		&(struct lane_message){
			.run = f->run, .kind = (uint8_t)kind, .step = f->step, .number = number });
}

static void
send_to_followers(struct hosts_floor *f, enum kind kind, uint64_t number)
{
	for (uint32_t i = 1; i < f->lane.place_count; i++)
		send_to(f, i, kind, number);
}

/* @return @p rc, having said which host it is that ... */
static int __attribute__((format(printf, 4, 5)))
refuse_host(const struct hosts_floor *f, uint32_t place, int rc, const char *format, ...)
{
	const struct config_node *n = f->lane.peers[place].node;
	struct in_addr address = { htonl(n->ipv4) };
	char address_text[INET_ADDRSTRLEN], what[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args); /* a longer one is cut */
	va_end(args);
	(void)complain("node %u (%s)%s %s", n->node_id,
		inet_ntop(AF_INET, &address, address_text, sizeof(address_text)),
		place == 0 ? ", which leads," : "", what);
	return rc;
}

static int
refuse_write(void)
{
	(void)complain("a write failed: look at the kernel's messages");
	return -EIO;
}

static int
refuse_interrupt(void)
{
	(void)complain("interrupted: the others end, too");
	return -EINTR;
}

/* Others need not wait for us. */
static void
say_gone(struct hosts_floor *f)
{
	for (uint32_t i = 0; i < f->lane.place_count; i++)
		if (i != f->lane.place)
			send_to(f, i, GONE, 0);
}

/* HOSTS_STEP_COUNT: none, before the first or after the last. */
static enum hosts_step
step_kind(const struct hosts_floor *f)
{
	return f->step == HOSTS_STEP_NONE || f->step == STEP_END
		       ? HOSTS_STEP_COUNT
		       : (enum hosts_step)(f->step % HOSTS_STEP_COUNT);
}

/* Rounds of an echo are durable at once. @return as block_step() */
static int
step_block(struct hosts_floor *f)
{
	if (step_kind(f) == HOSTS_FLOOR || step_kind(f) == HOSTS_CLIENT)
		return block_step(&f->block);
	f->block.durable = f->block.wanted;
	return 0;
}

/* ------------------------------------------------------------------------------ the leader */

static int
refuse_bytes(const struct hosts_floor *f, uint32_t place, uint64_t bytes)
{
	return refuse_host(f, place, -EINVAL,
		"was started with --bytes %llu, and this one with %u: give all the same",
		(unsigned long long)bytes, f->block.bytes);
}

static void
note_append(struct hosts_floor *f, uint32_t place, uint64_t number)
{
	uint32_t p50 = (uint32_t)(number >> 32), p99 = (uint32_t)number;

	f->appends[place].p50_us = p50 == 0 ? NAN : p50 / 1e3;
	f->appends[place].p99_us = p99 == 0 ? NAN : p99 / 1e3;
}

/* Take what came. @return > 0: something did; 0; or why this is the end */
static int
take_answers(struct hosts_floor *f)
{
	struct lane_message messages[LANE_MESSAGE_MAX];
	uint32_t count = lane_poll(&f->lane, messages);

	for (uint32_t i = 0; i < count; i++) {
		const struct lane_message *m = &messages[i];

		if (m->kind == HELLO && f->step == HOSTS_STEP_NONE) {
			if (m->number != f->block.bytes)
				return refuse_bytes(f, m->from, m->number);
			f->ready_mask |= 1u << m->from;
		}
		if (m->run != f->run)
			continue;
		if (m->kind == GONE)
			return refuse_host(f, m->from, -EPIPE, "has ended: it says why there");
		if (m->kind == READY && m->step == f->step) {
			f->ready_mask |= 1u << m->from;
			note_append(f, m->from, m->number);
		}
		if (m->kind == TOLD && m->number > f->answers[m->from])
			f->answers[m->from] = m->number;
	}
	return is_interrupted ? refuse_interrupt() : count > 0;
}

static uint32_t
all_ready(const struct hosts_floor *f)
{
	return (1u << f->lane.place_count) - 2; /* all but the leader */
}

/* @return -ETIMEDOUT, having named who is missing */
static int
refuse_missing(const struct hosts_floor *f)
{
	for (uint32_t i = 1; i < f->lane.place_count; i++) {
		if (f->ready_mask & 1u << i)
			continue;
		(void)refuse_host(f, i, -ETIMEDOUT,
			"has not come within %llu s: run the same command there. Of the way to it: "
			"%s",
			(unsigned long long)(f->wait_ns / 1000000000), lane_suspect(&f->lane, i));
	}
	return -ETIMEDOUT;
}

int
hosts_gather(struct hosts_floor *f)
{
	uint64_t begun = base_now_ns();

	f->run = (uint32_t)(begun >> 10) | 1; /* another one each time, and not 0 */
	while (f->ready_mask != all_ready(f)) {
		int rc = take_answers(f);

		if (rc < 0)
			return rc;
		if (base_now_ns() - begun > f->wait_ns)
			return refuse_missing(f);
		lane_tick(&f->lane, base_now_ns());
		wait_a_little(UINT64_MAX);
	}
	return 0;
}

static int
refuse_silence(const struct hosts_floor *f, uint32_t place)
{
	return refuse_host(
		f, place, -ETIMEDOUT, "has fallen silent for 20 s: has it ended, or its network?");
}

static uint32_t
first_missing(uint32_t mask)
{
	uint32_t i = 1;

	while (mask & 1u << i)
		i++;
	return i;
}

/* All others are in this step. */
static int
begin_step(struct hosts_floor *f, uint8_t step, double seconds, uint64_t patience_ns)
{
	uint64_t begun = base_now_ns(), send_ns = 0;

	f->step = step;
	f->ready_mask = 0;
	while (f->ready_mask != all_ready(f)) {
		uint64_t now = base_now_ns();
		int rc = take_answers(f);

		if (rc < 0)
			return rc;
		if (now - begun > patience_ns)
			return -ETIMEDOUT;
		if (now >= send_ns) {
			send_to_followers(f, STEP, (uint64_t)(seconds * 1e3));
			send_ns = now + RESEND_NS;
		}
		lane_tick(&f->lane, now);
		wait_a_little(now - begun);
	}
	return 0;
}

/* One round, as bench/floor.c has it: frames leave before the write is begun. */
static int
commit(struct hosts_floor *f, uint32_t place_count, uint64_t *ret_ns)
{
	uint64_t begun = base_now_ns(), resend_ns = begun + RESEND_NS, sequence = ++f->sequence;
	uint32_t majority = place_count / 2 + 1;

	for (uint32_t i = 1; i < place_count; i++)
		send_to(f, i, ASK, sequence);
	f->block.wanted = sequence;
	for (;;) {
		int block = step_block(f), rc = place_count > 1 ? take_answers(f) : 0;
		uint32_t votes = f->block.durable >= sequence;
		uint64_t now = base_now_ns();

		if (block < 0)
			return refuse_write();
		if (rc < 0)
			return rc;
		for (uint32_t i = 1; i < place_count; i++)
			votes += f->answers[i] >= sequence;
		if (votes >= majority) {
			*ret_ns = base_now_ns() - begun;
			return 0;
		}
		if (now >= resend_ns) {
			for (uint32_t i = 1; i < place_count; i++)
				if (f->answers[i] < sequence)
					send_to(f, i, ASK, sequence);
			resend_ns = now + RESEND_NS;
		}
		for (uint32_t i = 1; i < place_count; i++)
			if (now - begun > SILENCE_NS && f->answers[i] < sequence)
				return refuse_silence(f, i);
		if (block == 0 && rc == 0)
			wait_a_little(now - begun);
	}
}

static int
measure_appends(struct hosts_floor *f, uint64_t until, struct histogram *times)
{
	int rc = 0;

	while (rc >= 0 && base_now_ns() < until) {
		uint64_t begun = base_now_ns();

		if (raw_append(f->block.raw, f->block.bytes) != 0)
			return refuse_write();
		histogram_add(times, base_now_ns() - begun);
		rc = take_answers(f);
	}
	return rc < 0 ? rc : 0;
}

static int
measure_commits(
	struct hosts_floor *f, uint32_t place_count, uint64_t until, struct histogram *times)
{
	uint64_t ns = 0;
	int rc = 0;

	while (rc == 0 && base_now_ns() < until) {
		rc = commit(f, place_count, &ns);
		if (rc == 0)
			histogram_add(times, ns);
	}
	return rc;
}

static int
measure_client(struct hosts_floor *f, double seconds, struct histogram *times)
{
	static struct asker client;
	uint64_t busy_ns = base_now_ns(), ns;
	int rc = asker_begin(&client, seconds, times);

	if (rc != 0)
		return complain("no thread for the client: %s", strerror(-rc)), rc;
	while (rc == 0 && !asker_is_over(&client)) {
		uint64_t wanted = asker_wants(&client);

		if (wanted == 0) {
			wait_a_little(base_now_ns() - busy_ns);
			continue;
		}
		rc = commit(f, f->lane.place_count, &ns);
		asker_answer(&client, wanted);
		busy_ns = base_now_ns();
	}
	asker_end(&client);
	return rc;
}

int
hosts_measure(struct hosts_floor *f, uint8_t step, double seconds, struct histogram *ret_times)
{
	uint32_t place_count = f->lane.place_count;
	uint64_t ns;
	int rc = begin_step(f, step, seconds, SILENCE_NS);

	if (step_kind(f) == HOSTS_ROUND_TRIP)
		place_count = 2;
	if (rc == -ETIMEDOUT)
		return refuse_silence(f, first_missing(f->ready_mask));
	histogram_reset(ret_times);
	if (rc == 0 && step_kind(f) == HOSTS_APPEND)
		return measure_appends(f, base_now_ns() + (uint64_t)(seconds * 1e9), ret_times);
	for (uint32_t i = 0; rc == 0 && i < WARM_UP_COUNT; i++)
		rc = commit(f, place_count, &ns);
	if (rc == 0 && step_kind(f) == HOSTS_CLIENT)
		rc = measure_client(f, seconds, ret_times);
	else if (rc == 0)
		rc = measure_commits(
			f, place_count, base_now_ns() + (uint64_t)(seconds * 1e9), ret_times);
	while (f->block.writing != 0 && rc == 0)
		rc = block_step(&f->block) < 0 ? refuse_write() : 0; /* the next step may append */
	return rc;
}

void
hosts_end(struct hosts_floor *f, bool is_good)
{
	if (is_good)
		(void)begin_step(f, STEP_END, 0, END_NS); /* who misses it gives up by itself */
	else
		say_gone(f);
}

/* ------------------------------------------------------------------------------ a follower */

static uint64_t
own_append(const struct histogram *h)
{
	uint64_t p50 = histogram_has(h, 50) ? histogram_at(h, 50) : 0;
	uint64_t p99 = histogram_has(h, 99) ? histogram_at(h, 99) : 0;

	return (p50 > UINT32_MAX ? UINT32_MAX : p50) << 32 | (p99 > UINT32_MAX ? UINT32_MAX : p99);
}

/* What is still being written belongs to the last step. */
static int
enter_step(struct hosts_floor *f, uint8_t step)
{
	while (f->block.writing != 0)
		if (block_step(&f->block) < 0)
			return refuse_write();
	f->step = step;
	f->block.durable = f->block.wanted;
	if (step_kind(f) == HOSTS_APPEND)
		histogram_reset(&f->own);
	return 0;
}

static int
refuse_leader(const struct hosts_floor *f, const char *what)
{
	return refuse_host(f, 0, -EPIPE, "%s", what);
}

/* @return 0, or why this is the end */
static int
on_order(struct hosts_floor *f, const struct lane_message *m, uint64_t *silence_ns)
{
	int rc = 0;

	if (m->from != 0 || (m->kind != STEP && m->kind != ASK && m->kind != GONE))
		return 0;
	if (f->run == 0 && m->kind != ASK)
		f->run = m->run;
	if (m->run != f->run)
		return m->kind == STEP ? refuse_leader(f, "was started anew: start this again, too")
				       : 0;
	switch (m->kind) {
	case GONE: return refuse_leader(f, "has ended: it says why there");
	case STEP:
		*silence_ns = SILENCE_NS + m->number * 1000000;
		if (m->step != f->step)
			rc = enter_step(f, m->step);
		for (uint32_t i = 0; i < (m->step == STEP_END ? READY_COUNT : 1); i++)
			send_to(f, 0, READY, own_append(&f->own));
		break;
	default:
		if (m->number > f->block.wanted)
			f->block.wanted = m->number;
		else if (m->number <= f->told)
			send_to(f, 0, TOLD, f->told); /* asked again: the answer was lost */
		break;
	}
	return rc;
}

/* @return > 0: something came; 0; or why this is the end */
static int
take_orders(struct hosts_floor *f, uint64_t *silence_ns)
{
	struct lane_message messages[LANE_MESSAGE_MAX];
	uint32_t count = lane_poll(&f->lane, messages);
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = on_order(f, &messages[i], silence_ns);
	if (rc == 0 && is_interrupted)
		rc = refuse_interrupt();
	return rc < 0 ? rc : count > 0;
}

/* @return > 0: something was done; 0; or an error */
static int
work(struct hosts_floor *f)
{
	int rc;

	if (step_kind(f) == HOSTS_APPEND) {
		uint64_t begun = base_now_ns();

		if (raw_append(f->block.raw, f->block.bytes) != 0)
			return refuse_write();
		histogram_add(&f->own, base_now_ns() - begun);
		return 1;
	}
	rc = step_block(f);
	if (rc < 0)
		return refuse_write();
	if (f->block.durable > f->told) {
		f->told = f->block.durable;
		send_to(f, 0, TOLD, f->told);
		rc = 1;
	}
	return rc;
}

static int
join(struct hosts_floor *f, uint64_t *silence_ns)
{
	uint64_t begun = base_now_ns(), hello_ns = 0;

	while (f->run == 0) {
		uint64_t now = base_now_ns();
		int rc = take_orders(f, silence_ns);

		if (rc < 0)
			return rc;
		if (now - begun > f->wait_ns) {
			(void)refuse_leader(f,
				"has not begun: has one of the others not come? It says so there");
			(void)complain("of the way to it: %s", lane_suspect(&f->lane, 0));
			return -ETIMEDOUT;
		}
		if (now >= hello_ns) {
			send_to(f, 0, HELLO, f->block.bytes);
			hello_ns = now + RESEND_NS;
		}
		lane_tick(&f->lane, now);
		wait_a_little(UINT64_MAX);
	}
	return 0;
}

int
hosts_follow(struct hosts_floor *f)
{
	uint64_t silence_ns = SILENCE_NS, heard_ns, busy_ns;
	int rc = join(f, &silence_ns);

	heard_ns = busy_ns = base_now_ns();
	while (rc >= 0 && f->step != STEP_END) {
		uint64_t now = base_now_ns();
		int came = take_orders(f, &silence_ns);

		rc = came < 0 ? came : work(f);
		if (came > 0)
			heard_ns = now;
		else if (rc >= 0 && now - heard_ns > silence_ns)
			rc = refuse_leader(f, "has fallen silent: has it ended, or its network?");
		if (came > 0 || rc > 0)
			busy_ns = now;
		else
			wait_a_little(now - busy_ns);
	}
	if (rc < 0)
		say_gone(f);
	return rc < 0 ? rc : 0;
}
