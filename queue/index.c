/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hash tables of fixed size, chained through the objects: everything by (kind, number), and all
 * but jobs by what clients call them. There are about as many places as cells, so a chain has one
 * member or two.
 */
#include "queue/private.h"

static uint32_t *
number_place(const struct queue_machine *m, enum kind kind, uint64_t number)
{
	return &m->by_number[hash_word(kind, number) & m->number_mask];
}

uint32_t
index_find(const struct queue_machine *m, enum kind kind, uint64_t number)
{
	uint32_t cell = *number_place(m, kind, number);

	while (cell != 0 &&
		(object_at(m, cell)->number != number || object_at(m, cell)->kind != kind))
		cell = object_at(m, cell)->hash_next;
	return cell;
}

void
index_add(struct queue_machine *m, uint32_t cell)
{
	struct object *o = object_at(m, cell);
	uint32_t *place = number_place(m, o->kind, o->number);

	o->hash_next = *place;
	*place = cell;
}

void
index_remove(struct queue_machine *m, uint32_t cell)
{
	struct object *o = object_at(m, cell);
	uint32_t *place = number_place(m, o->kind, o->number);

	while (*place != cell) {
		queue_assert(*place != 0);
		place = &object_at(m, *place)->hash_next;
	}
	*place = o->hash_next;
}

/* ------------------------------------------------------------------------------ by key */

static uint64_t
pair_hash(enum kind kind, uint64_t a, uint64_t b)
{
	return hash_word(hash_word(kind, a), b);
}

static uint64_t
key_hash(const struct queue_machine *m, uint32_t cell)
{
	switch (object_at(m, cell)->kind) {
	case KIND_TUBE: return tube_at(m, cell)->name_hash;
	case KIND_GATEWAY: return pair_hash(KIND_GATEWAY, gateway_at(m, cell)->session, 0);
	case KIND_CONNECTION:
		return pair_hash(KIND_CONNECTION, connection_at(m, cell)->gateway,
			connection_at(m, cell)->id);
	default:
		return pair_hash(
			KIND_WATCH, watch_at(m, cell)->connection, object_at(m, cell)->tube);
	}
}

static uint32_t *
key_next(const struct queue_machine *m, uint32_t cell)
{
	switch (object_at(m, cell)->kind) {
	case KIND_TUBE: return &tube_at(m, cell)->key_next;
	case KIND_GATEWAY: return &gateway_at(m, cell)->key_next;
	case KIND_CONNECTION: return &connection_at(m, cell)->key_next;
	default: return &watch_at(m, cell)->key_next;
	}
}

uint32_t
key_find_tube(const struct queue_machine *m, const void *name, uint32_t name_bytes)
{
	uint64_t hash = hash_bytes(name, name_bytes);
	uint32_t cell = m->by_key[hash & m->key_mask];

	while (cell != 0 &&
		(object_at(m, cell)->kind != KIND_TUBE || tube_at(m, cell)->name_hash != hash ||
			!payload_is(m, object_at(m, cell), name, name_bytes)))
		cell = *key_next(m, cell);
	return cell;
}

uint32_t
key_find_gateway(const struct queue_machine *m, uint64_t session)
{
	uint32_t cell = m->by_key[pair_hash(KIND_GATEWAY, session, 0) & m->key_mask];

	while (cell != 0 && (object_at(m, cell)->kind != KIND_GATEWAY ||
				    gateway_at(m, cell)->session != session))
		cell = *key_next(m, cell);
	return cell;
}

uint32_t
key_find_connection(const struct queue_machine *m, uint32_t gateway, uint64_t id)
{
	uint32_t cell = m->by_key[pair_hash(KIND_CONNECTION, gateway, id) & m->key_mask];

	while (cell != 0 && (object_at(m, cell)->kind != KIND_CONNECTION ||
				    connection_at(m, cell)->gateway != gateway ||
				    connection_at(m, cell)->id != id))
		cell = *key_next(m, cell);
	return cell;
}

uint32_t
key_find_watch(const struct queue_machine *m, uint32_t connection, uint32_t tube)
{
	uint32_t cell = m->by_key[pair_hash(KIND_WATCH, connection, tube) & m->key_mask];

	while (cell != 0 && (object_at(m, cell)->kind != KIND_WATCH ||
				    watch_at(m, cell)->connection != connection ||
				    object_at(m, cell)->tube != tube))
		cell = *key_next(m, cell);
	return cell;
}

void
key_add(struct queue_machine *m, uint32_t cell)
{
	uint32_t *place = &m->by_key[key_hash(m, cell) & m->key_mask];

	*key_next(m, cell) = *place;
	*place = cell;
}

void
key_remove(struct queue_machine *m, uint32_t cell)
{
	uint32_t *place = &m->by_key[key_hash(m, cell) & m->key_mask];

	while (*place != cell) {
		queue_assert(*place != 0);
		place = key_next(m, *place);
	}
	*place = *key_next(m, cell);
}
