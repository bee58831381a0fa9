/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proposers: threads of the embedding program that put commands into a group.
 *
 * A proposer takes a slot at its group's shard and hands over a mailbox in it. The shard looks once
 * per turn whether somebody has asked for it; nobody ever waits for a proposer, and a proposer
 * waits for the shard only when it closes.
 *
 * Wrong threads are detected by comparing with the thread that opened the proposer.
 */
#include "engine/runtime/node_private.h"

#include "base/refuse.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>

struct decree_proposer {
	struct decree_node *node;
	struct node_shard *ns;
	struct proposer_slot *slot;
	struct mailbox *mailbox;
	pthread_t owner;
	bool is_inside; /* opened by the shard's own thread */
	uint32_t command_bytes_max;
};

/* ------------------------------------------------------------------------------ shard's side */

static void
serve(struct node_shard *ns, struct proposer_slot *slot)
{
	/* Acquire: pairs with the releases in the proposer's open and close. */
	switch (atomic_load_explicit(&slot->state, memory_order_acquire)) {
	case SLOT_OPENING:
		slot->gateway = shard_gateway_open(
			ns->shard, slot->group, slot->token, &mailbox_ring_ops, slot->mailbox);
		decree_assert(slot->gateway >= 0); /* as many gateways as slots */
		atomic_store_explicit(&slot->state, SLOT_OPEN, memory_order_release);
		break;
	case SLOT_CLOSING:
		shard_gateway_close(ns->shard, slot->gateway);
		atomic_store_explicit(&slot->state, SLOT_CLOSED, memory_order_release);
		break;
	default: break;
	}
}

void
proposer_serve(struct node_shard *ns)
{
	/* Acquire: pairs with the release in ask_shard(). */
	uint32_t asked = atomic_load_explicit(&ns->slots_asked, memory_order_acquire);

	if (asked == ns->slots_served)
		return;
	ns->slots_served = asked;
	for (uint32_t i = 0; i < SHARD_GATEWAY_COUNT_MAX; i++)
		serve(ns, &ns->slots[i]);
}

/* ------------------------------------------------------------------------------ proposer's side */

static void
ask_shard(struct node_shard *ns, struct proposer_slot *slot, enum slot_state state)
{
	/* Release: the shard sees the slot filled, and its state before the count. */
	atomic_store_explicit(&slot->state, state, memory_order_release);
	atomic_fetch_add_explicit(&ns->slots_asked, 1, memory_order_release);
}

static struct proposer_slot *
claim_slot(struct node_shard *ns)
{
	for (uint32_t i = 0; i < SHARD_GATEWAY_COUNT_MAX; i++) {
		uint32_t expected = SLOT_FREE;

		if (atomic_compare_exchange_strong_explicit(&ns->slots[i].state, &expected,
			    SLOT_CLAIMED, memory_order_acquire, memory_order_relaxed))
			return &ns->slots[i];
	}
	return NULL;
}

static size_t
arena_bytes(const struct config *c)
{
	size_t wanted = 2 * (size_t)c->command_bytes_max;

	if (wanted < NODE_ARENA_BYTES_MIN)
		wanted = NODE_ARENA_BYTES_MIN;
	return (wanted + 63) & ~(size_t)63;
}

static int
refuse(struct decree_proposer *p, int rc, const char *why, char *ret_error)
{
	if (p != NULL)
		mailbox_destroy(p->mailbox);
	free(p);
	return base_refuse(rc, ret_error, "proposer: %s", why);
}

DECREE_API
int
decree_proposer_open(struct decree_node *node, uint16_t group,
	struct decree_proposer **ret_proposer, char ret_error[DECREE_ERROR_BYTES])
{
	const struct config *c = &node->config;
	struct decree_proposer *p;

	if (group >= c->group_count)
		return refuse(
			NULL, -ENOENT, "there is no such group in the configuration", ret_error);
	if (thread_is_shards() && !thread_is_of(&node->shards[config_group_to_shard(c, group)]))
		return refuse(NULL, -EINVAL,
			"a shard's own thread can propose to the groups of that shard alone: two "
			"would wait for each other",
			ret_error);
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return refuse(NULL, -ENOMEM, "out of memory", ret_error);
	p->node = node;
	p->ns = &node->shards[config_group_to_shard(c, group)];
	p->owner = pthread_self();
	p->is_inside = thread_is_shards();
	p->command_bytes_max = c->command_bytes_max;
	p->mailbox = mailbox_create(c->session_window, arena_bytes(c));
	if (p->mailbox == NULL)
		return refuse(p, -ENOMEM, "out of memory", ret_error);
	p->slot = claim_slot(p->ns);
	if (p->slot == NULL)
		return refuse(p, -EMFILE,
			"the group's shard serves 16 proposers already: close one", ret_error);
	p->slot->group = group;
	p->slot->mailbox = p->mailbox;
	if (getrandom(p->slot->token, sizeof(p->slot->token), 0) != sizeof(p->slot->token)) {
		atomic_store_explicit(&p->slot->state, SLOT_FREE, memory_order_release);
		return refuse(p, -EIO, "no random numbers", ret_error);
	}
	ask_shard(p->ns, p->slot, SLOT_OPENING);
	*ret_proposer = p;
	return 0;
}

static bool
is_over(const struct decree_proposer *p)
{
	/* Acquire: pairs with the release at the end of thread_main(). */
	return atomic_load_explicit(&p->node->stop, memory_order_relaxed) &&
	       !atomic_load_explicit(&p->ns->is_running, memory_order_acquire);
}

/* What a shard's thread leaves behind at its end is whoever's the node is. */
static bool
may_poll(const struct decree_proposer *p)
{
	return pthread_equal(p->owner, pthread_self()) || (p->is_inside && is_over(p));
}

DECREE_API
int
decree_propose(struct decree_proposer *p, const void *body, uint32_t bytes, void *cookie)
{
	if (!pthread_equal(p->owner, pthread_self()))
		return -EPERM;
	if (bytes > p->command_bytes_max)
		return -EMSGSIZE;
	if (atomic_load_explicit(&p->node->stop, memory_order_relaxed))
		return -ESHUTDOWN;
	return mailbox_push(p->mailbox, body, bytes, cookie);
}

DECREE_API
int
decree_read(struct decree_proposer *p, const void *query, uint32_t bytes,
	enum decree_consistency consistency, void *cookie)
{
	if (!pthread_equal(p->owner, pthread_self()))
		return -EPERM;
	if (bytes > DECREE_QUERY_BYTES_MAX)
		return -EMSGSIZE;
	if ((unsigned)consistency > DECREE_STALE)
		return -EINVAL;
	if (atomic_load_explicit(&p->node->stop, memory_order_relaxed))
		return -ESHUTDOWN;
	return mailbox_read(p->mailbox, query, bytes, consistency, cookie);
}

DECREE_API
uint32_t
decree_poll(
	struct decree_proposer *p, struct decree_completion *ret_completions, uint32_t count_max)
{
	bool over = is_over(p); /* before looking: then nothing comes after what is found */
	uint32_t count;

	if (!may_poll(p))
		return 0;
	count = mailbox_poll(p->mailbox, ret_completions, count_max);
	if (count == 0 && over)
		count = mailbox_abandon(p->mailbox, ret_completions, count_max);
	return count;
}

/* Until the shard has let go of the mailbox, or does not run any more. */
static void
take_back(struct decree_proposer *p)
{
	uint32_t state;

	do {
		state = atomic_load_explicit(&p->slot->state, memory_order_acquire);
		if (state == SLOT_OPENING &&
			!atomic_load_explicit(&p->ns->is_running, memory_order_acquire))
			break; /* never opened */
		if (state == SLOT_OPEN)
			ask_shard(p->ns, p->slot, SLOT_CLOSING);
		else if (state != SLOT_CLOSED && thread_is_of(p->ns))
			proposer_serve(p->ns); /* in on_turn: nobody else would */
		else if (state != SLOT_CLOSED)
			sched_yield();
	} while (state != SLOT_CLOSED &&
		 (state == SLOT_OPENING ||
			 atomic_load_explicit(&p->ns->is_running, memory_order_acquire)));
}

DECREE_API
void
decree_proposer_close(struct decree_proposer *p)
{
	if (p == NULL)
		return;
	decree_assert(may_poll(p));
	take_back(p);
	mailbox_destroy(p->mailbox);
	/* A shard that has ended never looks at its slots again; one that runs has let go. */
	atomic_store_explicit(&p->slot->state, SLOT_FREE, memory_order_release);
	free(p);
}
