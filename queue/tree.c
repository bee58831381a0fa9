/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordered sets as treaps (Seidel and Aragon, 1996): search trees by (key, number) that are heaps by
 * a weight drawn from the number alone. So the shape follows from what is in it and not from how it
 * got there, a step costs O(log n) on average, and a member needs two links and no more: no array
 * to grow, nothing to allocate.
 */
#include "queue/private.h"

static struct link *
link_of(const struct queue_machine *m, uint32_t cell, size_t at)
{
	return (struct link *)((uint8_t *)cell_at(m, cell) + at);
}

/* Numbers count up; their weights must not. One to one, so no two are equal. */
static uint64_t
weight_of(const struct queue_machine *m, uint32_t cell)
{
	uint64_t x = object_at(m, cell)->number * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static bool
is_before(const struct queue_machine *m, size_t at, uint32_t cell, uint64_t key, uint64_t number)
{
	const struct link *l = link_of(m, cell, at);

	return l->key != key ? l->key < key : object_at(m, cell)->number < number;
}

void
tree_insert(const struct queue_machine *m, uint32_t *root, size_t at, uint32_t cell)
{
	struct link *l = link_of(m, cell, at);
	uint64_t key = l->key, number = object_at(m, cell)->number, weight = weight_of(m, cell);
	uint32_t *where = root, *low = &l->left, *high = &l->right;
	uint32_t rest;

	while (*where != 0 && weight_of(m, *where) >= weight) {
		queue_assert(*where != cell);
		where = is_before(m, at, *where, key, number) ? &link_of(m, *where, at)->right
							      : &link_of(m, *where, at)->left;
	}
	/* What was here goes below it, split at its key. */
	rest = *where;
	*where = cell;
	while (rest != 0)
		if (is_before(m, at, rest, key, number)) {
			*low = rest;
			low = &link_of(m, rest, at)->right;
			rest = *low;
		} else {
			*high = rest;
			high = &link_of(m, rest, at)->left;
			rest = *high;
		}
	*low = *high = 0;
}

void
tree_remove(const struct queue_machine *m, uint32_t *root, size_t at, uint32_t cell)
{
	struct link *l = link_of(m, cell, at);
	uint64_t number = object_at(m, cell)->number;
	uint32_t *where = root;
	uint32_t low = l->left, high = l->right;

	while (*where != cell) {
		queue_assert(*where != 0);
		where = is_before(m, at, *where, l->key, number) ? &link_of(m, *where, at)->right
								 : &link_of(m, *where, at)->left;
	}
	while (low != 0 && high != 0)
		if (weight_of(m, low) > weight_of(m, high)) {
			*where = low;
			where = &link_of(m, low, at)->right;
			low = *where;
		} else {
			*where = high;
			where = &link_of(m, high, at)->left;
			high = *where;
		}
	*where = low != 0 ? low : high;
	l->left = l->right = 0;
}

uint32_t
tree_first(const struct queue_machine *m, uint32_t root, size_t at)
{
	uint32_t cell = root;

	while (cell != 0 && link_of(m, cell, at)->left != 0)
		cell = link_of(m, cell, at)->left;
	return cell;
}

uint32_t
tree_find(const struct queue_machine *m, uint32_t root, size_t at, uint64_t key, uint64_t number)
{
	uint32_t cell = root;

	while (cell != 0 &&
		(link_of(m, cell, at)->key != key || object_at(m, cell)->number != number))
		cell = is_before(m, at, cell, key, number) ? link_of(m, cell, at)->right
							   : link_of(m, cell, at)->left;
	return cell;
}

uint32_t
tree_behind(const struct queue_machine *m, uint32_t root, size_t at, uint64_t key, uint64_t number)
{
	uint32_t cell = root, found = 0;

	while (cell != 0) {
		const struct link *l = link_of(m, cell, at);

		if (is_before(m, at, cell, key, number) ||
			(l->key == key && object_at(m, cell)->number == number)) {
			cell = l->right;
		} else {
			found = cell;
			cell = l->left;
		}
	}
	return found;
}
