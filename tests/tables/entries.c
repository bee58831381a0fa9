/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four entries on each node, and every set of damaged copies: bit (4 * node + entry) of the
 * pattern's number.
 *
 * Which patterns must recover follows from the protocol, not from the code that is tried here:
 *
 *   - A copy whose identifier is left names its slot, ballot and digest. Phase 1 proposes the value
 *     of the highest ballot m in a quorum's promises, if an intact copy with the digest at m is
 *     known from ANY node (5.6). All copies here are of one ballot for each entry. So an entry
 *     recovers if and only if one copy of it is intact.
 *
 *   - A copy without block and identifier is a hole without a name: every slot that its node does
 *     not hold decided may be damaged, without end. Its promises then count in no quorum, nor for
 *     free slots (11.3), and a leader needs a q1 quorum of promises for every slot from its first
 *     undecided one to the end. The doubt ends only once a q1 quorum without it has spoken. So a
 *     cluster recovers if and only if a q1 quorum of nodes has no such hole; what these hold is
 *     intact then, and all the others need.
 *
 * All other patterns must stay unavailable. There is no third way: with every copy of an entry
 * gone, or with fewer certain nodes than a quorum, nobody can tell what was committed.
 */
#include "base/assert.h"
#include "tests/tables/base.h"

static bool
is_damaged(uint64_t number, uint32_t node, uint32_t entry)
{
	return (number >> (ENTRY_COUNT * node + entry) & 1) != 0;
}

static void
damage_block(struct worker *w, uint32_t node, uint32_t entry)
{
	struct base_range at = base_block(w->base, node, w->base->entry_slots[entry]);
	struct image_file *f = &w->images[node].files[DISK_SEGMENTS];

	decree_assert(at.bytes != 0);
	switch (draw(&w->random, 3)) {
	case 0: image_spoil(&w->images[node], DISK_SEGMENTS, at.offset, at.bytes); break;
	case 1: image_damage(f, at.offset, at.bytes, DAMAGE_ZEROS, NULL, &w->random); break;
	default: image_damage(f, at.offset, at.bytes, DAMAGE_NOISE, NULL, &w->random); break;
	}
}

static void
damage_identifier(struct worker *w, uint32_t node, uint32_t entry)
{
	struct base_range at = base_identifier(w->base, node, w->base->entry_slots[entry]);

	decree_assert(at.bytes != 0);
	image_damage(&w->images[node].files[DISK_IDENTIFIERS], at.offset, at.bytes, DAMAGE_NOISE,
		NULL, &w->random);
}

enum expectation
damage_entries(struct worker *w, uint64_t number)
{
	uint32_t node_count = w->cluster->node_count;
	bool has_all = true;

	for (uint32_t entry = 0; entry < ENTRY_COUNT; entry++) {
		uint32_t intact = 0;

		for (uint32_t node = 0; node < node_count; node++)
			if (is_damaged(number, node, entry))
				damage_block(w, node, entry);
			else
				intact++;
		has_all &= intact > 0;
	}
	return has_all ? EXPECT_RECOVERY : EXPECT_NO_RECOVERY;
}

enum expectation
damage_entries_and_identifiers(struct worker *w, uint64_t number)
{
	uint32_t node_count = w->cluster->node_count;
	uint32_t q1 = node_count / 2 + 1, certain = 0;

	for (uint32_t node = 0; node < node_count; node++) {
		uint32_t holes = 0;

		for (uint32_t entry = 0; entry < ENTRY_COUNT; entry++) {
			if (!is_damaged(number, node, entry))
				continue;
			damage_block(w, node, entry);
			damage_identifier(w, node, entry);
			holes++;
		}
		certain += holes == 0;
	}
	return certain >= q1 ? EXPECT_RECOVERY : EXPECT_NO_RECOVERY;
}
