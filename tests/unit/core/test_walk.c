/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random walk through the core: frames are delivered in any order, lost and doubled, writes
 * become durable at any time, nodes crash and return. After every step: no slot has two values,
 * nothing that was chosen is ever lost, every node applies the same commands in the same order; a
 * read sees everything that any node had applied when it began, and whoever holds a lease has seen
 * all of it. In half of the walks members come, go, lose their disks and are replaced. Then the
 * faults stop, and a leader must appear and commit.
 *
 *   test_walk [SEED [COUNT]]    runs those seeds and prints the one that fails
 */
#include "tests/lib/cluster.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS            1000000ull
#define SLOT_MAX      4000
#define STEPS         8000
#define SESSION_COUNT 3
#define READ_MAX      STEPS

struct truth {
	struct decree_digest chosen[SLOT_MAX]; /* by slot; lo = 0: nobody applied it yet */
	uint64_t chosen_last;
	uint64_t random;
	uint16_t rotten; /* this node's disk may lose records; 0 = nobody's */
	struct {
		uint8_t token[16];
		struct decree_session session;
		uint64_t acked; /* highest seq that some node executed */
		uint64_t sent;
	} sessions[SESSION_COUNT];
	bool has_changes;           /* of the members */
	struct eng_configs configs; /* as of chosen_last */
	bool has_removed;           /* a removal was begun, and may still be under way */
	uint16_t lost;              /* member whose disk is lost, 0 = none */
	bool gone[CLUSTER_NODE_MAX + 1];
	uint64_t read_count;
	uint64_t read_floor[READ_MAX]; /* by id: chosen_last when it began */
};

static uint64_t
draw(struct truth *t, uint64_t bound)
{
	uint64_t z = t->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % bound;
}

static void
note_config(struct truth *t, struct decree_slot slot, const uint8_t *value, uint32_t bytes)
{
	struct eng_value v;

	decree_assert(eng_value_decode(value, bytes, &v) == 0);
	if (v.kind == ENG_VALUE_CONFIG)
		(void)eng_configs_decide(&t->configs, slot, &v.membership);
	(void)eng_configs_advance(&t->configs, slot);
}

static const struct eng_membership *
members(const struct truth *t)
{
	return t->configs.next.m.epoch != 0 ? &t->configs.next.m : &t->configs.now.m;
}

static void
on_apply(struct cluster *c, uint16_t node, struct decree_slot slot, const uint8_t *value,
	uint32_t bytes)
{
	struct truth *t = c->context;
	struct decree_digest d = base_digest(value, bytes);

	(void)node;
	decree_assert(slot.n < SLOT_MAX);
	if (t->chosen_last < slot.n)
		note_config(t, slot, value, bytes);
	if (t->chosen[slot.n].lo == 0)
		t->chosen[slot.n] = d;
	decree_assert(digest_eq(t->chosen[slot.n], d));
	if (t->chosen_last < slot.n)
		t->chosen_last = slot.n;
}

static void
on_command(struct cluster *c, uint16_t node, struct decree_slot slot, const struct eng_applied *a)
{
	struct truth *t = c->context;

	(void)node;
	(void)slot;
	for (int i = 0; i < SESSION_COUNT; i++) {
		if (a->verdict == ENG_REGISTERED && memcmp(a->body, t->sessions[i].token, 16) == 0)
			t->sessions[i].session = a->session;
		if (a->verdict == ENG_EXECUTE && a->session.n == t->sessions[i].session.n &&
			t->sessions[i].acked < a->seq)
			t->sessions[i].acked = a->seq;
	}
}

static void
on_halt(struct cluster *c, uint16_t node, enum eng_halt why)
{
	struct truth *t = c->context;

	/* One whose disk has lost the very first configuration does not even know that it was a
	 * member. */
	if ((why == ENG_HALT_REMOVED || (why == ENG_HALT_NOT_MEMBER && node == t->rotten)) &&
		eng_member_find(members(t), node) == NULL) {
		t->gone[node] = true;
		return;
	}
	fprintf(stderr, "node %u halted: %s\n", node, eng_halt_text(why));
	decree_assert(false);
}

static void
on_read(struct cluster *c, uint16_t node, const struct eng_read_ready *ready)
{
	struct truth *t = c->context;

	(void)node;
	decree_assert(ready->id < t->read_count);
	decree_assert(ready->is_busy || ready->slot.n >= t->read_floor[ready->id]);
}

static void
check_leases(struct cluster *c, const struct truth *t)
{
	for (uint16_t n = 1; n <= c->node_count; n++)
		if (c->nodes[n].up && eng_lease_holds(cluster_replica(c, n), c->now_ns))
			decree_assert(cluster_replica(c, n)->chosen.n >= t->chosen_last);
}

static uint16_t
leader_of(struct cluster *c)
{
	for (uint16_t n = 1; n <= c->node_count; n++)
		if (c->nodes[n].up && cluster_replica(c, n)->ready)
			return n;
	return 0;
}

static void
work(struct cluster *c, struct truth *t)
{
	uint16_t leader = leader_of(c);
	uint32_t i = (uint32_t)draw(t, SESSION_COUNT);
	uint8_t body[1500];

	if (leader == 0)
		return;
	if (t->sessions[i].session.n == 0) {
		cluster_submit(
			c, leader, (struct decree_session){ 0 }, 0, t->sessions[i].token, 16);
		return;
	}
	uint64_t seq = t->sessions[i].acked + 1 + draw(t, 4); /* gaps and repeats on purpose */
	uint32_t bytes = draw(t, 10) == 0 ? (uint32_t)draw(t, sizeof(body)) : (uint32_t)draw(t, 60);
	memset(body, (int)(seq + i), bytes);
	if (bytes >= 8)
		store_u64(body,
			seq); /* same seq, other length: MISMATCH at most, never executed twice */
	cluster_submit(c, leader, t->sessions[i].session, seq, body, bytes);
}

/* One node's disk may lose records while it is down, newest ones above all: all others keep their
 * copies, so every value survives. */
static void
rot(struct cluster *c, struct truth *t, uint16_t node)
{
	if (node != t->rotten || c->founder_count < 3)
		return;
	for (uint64_t count = draw(t, 4); count > 0; count--) {
		uint64_t back = draw(t, draw(t, 4) == 0 ? 60 : 6);
		uint64_t slot = t->chosen_last + 4 > back ? t->chosen_last + 4 - back : 1;
		uint64_t how = draw(t, 20);

		(void)cluster_damage(c, node, (struct decree_slot){ slot },
			how == 0  ? CLUSTER_DAMAGE_LOST
			: how < 7 ? CLUSTER_DAMAGE_UNKNOWN
				  : CLUSTER_DAMAGE_ID); /* or there is none: as well */
	}
}

/* The members that govern now, some slots before those that were decided last. */
static bool
governs_without_the_gone(const struct truth *t)
{
	const struct eng_membership *m = &t->configs.now.m;

	for (uint32_t i = 0; i < m->member_count; i++)
		if (t->gone[m->members[i].node_id])
			return false;
	return true;
}

/* And the others know it, as their disks do: else they must still hear a quorum of those before. */
static bool
is_government_known(const struct cluster *c, const struct truth *t, uint16_t but)
{
	const struct eng_governor *now = &t->configs.now;

	for (uint32_t i = 0; i < now->m.member_count; i++) {
		uint16_t id = now->m.members[i].node_id;
		const struct cluster_node *n = &c->nodes[id];
		if (id == but)
			continue;
		if (!n->up || n->replica->chosen.n < now->from.n + 2ull * now->m.alpha ||
			n->replica->persisted < n->replica->persist_last)
			return false;
	}
	return true;
}

/* One member at a time may lose its disk; it never comes back, and a new node takes its place. */
static void
lose_disk(struct cluster *c, struct truth *t, uint16_t node)
{
	if (t->lost != 0 || t->rotten != 0 || t->chosen_last <= 2 || !governs_without_the_gone(t) ||
		eng_voter_count(members(t)) < 3u + t->has_removed ||
		eng_voter_count(&t->configs.now.m) < 3u + t->has_removed ||
		eng_member_find(members(t), node) == NULL || c->node_count == CLUSTER_NODE_MAX ||
		(t->configs.now.m.epoch > 1 && !is_government_known(c, t, node)))
		return;
	t->lost = node;
	t->gone[node] = true;
	if (c->nodes[node].up)
		cluster_crash(c, node);
}

static void
change_members(struct cluster *c, struct truth *t)
{
	const struct eng_membership *m = members(t);
	uint16_t leader = leader_of(c);
	uint16_t newest = (uint16_t)c->node_count;
	struct eng_member_change change = { .op = ENG_MEMBER_REMOVE };

	if (leader == 0)
		return;
	if (t->lost != 0 && eng_member_find(m, t->lost) == NULL)
		t->lost = 0;
	bool is_waiting = newest > c->founder_count && newest > m->id_last;
	change.member.node_id = m->members[draw(t, m->member_count)].node_id;
	if (t->lost != 0 || draw(t, 2) == 0) {
		if (!is_waiting && newest == CLUSTER_NODE_MAX)
			return;
		if (!is_waiting)
			newest = cluster_join(c);
		change.op = t->lost != 0 || draw(t, 2) == 0 ? ENG_MEMBER_REPLACE : ENG_MEMBER_ADD;
		change.old = t->lost != 0 ? t->lost : change.member.node_id;
		change.member.node_id = newest;
		change.member.disk = eng_disk_short(&c->nodes[newest].disk);
	} else if (eng_voter_count(m) < (t->rotten != 0 ? 4 : 3)) {
		return; /* the ones that are left must be enough */
	}
	t->has_removed |= change.op == ENG_MEMBER_REMOVE;
	(void)cluster_member(c, leader, &change);
}

static void
walk_change(struct cluster *c, struct truth *t, uint16_t node)
{
	if (draw(t, 8) == 0)
		lose_disk(c, t, node);
	else
		change_members(c, t);
}

static void
walk_step(struct cluster *c, struct truth *t, uint32_t loss)
{
	uint16_t node = (uint16_t)(1 + draw(t, c->node_count));
	uint64_t dice = draw(t, 1000);

	if (t->gone[node] && c->nodes[node].up)
		cluster_crash(c, node);
	if (t->has_changes && draw(t, 150) == 0)
		walk_change(c, t, node);
	if (t->gone[node])
		return;
	if (dice < 550 && c->flight_count > 0) {
		uint32_t index = (uint32_t)draw(t, c->flight_count < 8 ? c->flight_count : 8);
		if (draw(t, 100) < loss)
			cluster_drop(c, index);
		else
			cluster_deliver(c, index, draw(t, 50) == 0);
	} else if (dice < 800) {
		cluster_persist(c, node, (uint32_t)(1 + draw(t, 3)));
	} else if (dice < 830) {
		t->read_floor[t->read_count] = t->chosen_last;
		cluster_read(c, node, t->read_count++);
	} else if (dice < 900) {
		work(c, t);
	} else if (dice < 990) {
		/* Now and then a long pause: every timer goes off at once. */
		uint64_t pause = draw(t, 40);
		c->now_ns += draw(t, pause == 0 ? 500 * MS : pause < 14 ? 30 * MS : 2 * MS);
		for (uint16_t n = 1; n <= c->node_count; n++)
			cluster_tick(c, n);
	} else if (dice < 994 && c->nodes[node].up && t->chosen_last > 2) {
		cluster_crash(c, node);
	} else if (!c->nodes[node].up) {
		rot(c, t, node);
		cluster_restart(c, node);
	}
	if (c->flight_count > 500)
		cluster_drop(c, 0);
	check_leases(c, t);
}

/* Chosen is for ever: every later leader holds what any node applied. */
static void
check_all(struct cluster *c, struct truth *t)
{
	const struct eng_membership *m = members(t);
	const struct cluster_node *first = NULL;

	for (uint32_t i = 0; i < m->member_count; i++) {
		const struct cluster_node *n = &c->nodes[m->members[i].node_id];
		if (t->gone[m->members[i].node_id])
			continue;
		if (first == NULL)
			first = n;
		decree_assert(n->up);
		decree_assert(n->applied.n == t->chosen_last);
		decree_assert(digest_eq(n->applied_digest, first->applied_digest));
	}
}

static void
give_leases(struct cluster *c, uint64_t ns)
{
	c->lease_ns = ns;
	for (uint16_t n = 1; n <= c->node_count; n++)
		cluster_replica(c, n)->cfg.lease_ns = ns;
}

static void
walk(uint64_t seed)
{
	struct truth *t = calloc(1, sizeof(*t));
	uint32_t sizes[] = { 3, 5, 3, 1, 4, 7, 3, 2 };

	t->random = seed * 77777 + 1;
	t->has_changes = seed / 8 % 2 == 1;
	eng_configs_init(&t->configs);
	uint32_t alpha = t->has_changes ? 8 : 64;
	struct cluster *c = cluster_create_with(sizes[seed % 8], 0, 0, 8, 20, alpha, seed);
	uint32_t loss = (uint32_t)draw(t, 3) * 12;
	t->rotten = (uint16_t)(draw(t, 2) * (1 + draw(t, c->node_count)));
	c->context = t;
	c->on_apply = on_apply;
	c->on_command = on_command;
	c->on_halt = on_halt;
	c->on_read = on_read;
	if (seed % 3 == 0)
		give_leases(c, (20 + draw(t, 600)) * MS);
	for (int i = 0; i < SESSION_COUNT; i++)
		memset(t->sessions[i].token, 'a' + i, 16);

	for (int i = 0; i < STEPS && t->chosen_last < SLOT_MAX - 500; i++)
		walk_step(c, t, loss);

	/* The faults stop: everybody is up, nothing is lost any more. */
	for (uint16_t n = 1; n <= c->node_count; n++)
		if (!c->nodes[n].up && !t->gone[n])
			cluster_restart(c, n);
	c->flight_count = 0;
	enum eng_submit_status status = ENG_SUBMIT_BUSY;
	for (int i = 0; i < 60 && status != ENG_SUBMIT_OK;
		i++) { /* longer than an abandoned train is waited for */
		uint16_t leader = cluster_elect_any(c, 5000 * MS);
		decree_assert(leader != 0);
		status = cluster_submit(c, leader, (struct decree_session){ 0 }, 0,
			(const uint8_t *)"the-final-token!", 16);
	}
	decree_assert(status == ENG_SUBMIT_OK);
	uint64_t before = t->chosen_last;
	cluster_run(c, 1000 * MS);
	decree_assert(t->chosen_last > before);
	check_all(c, t);
	cluster_destroy(c);
	free(t);
}

static uint64_t first_seed = 1;
static uint64_t seed_count = 1000;

static void
test_random_walks_agree_and_make_progress(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
		if (getenv("WALK_TRACE") != NULL)
			fprintf(stderr, "seed %lu\n", seed);
		walk(seed);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_walks_agree_and_make_progress),
	};

	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		seed_count = strtoull(argv[2], NULL, 10);
	else if (argc > 1)
		seed_count = 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
