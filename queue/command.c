/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/command.h"

#include "queue/bytes.h"

#include <errno.h>

/* Of the first byte. */
#define AFTER 0x80u

/* Which fields a command has, in the order of their bytes. */
enum field {
	ID = 1 << 0,
	PRI = 1 << 1,
	SECONDS = 1 << 2,
	TTR = 1 << 3,
	BOUND = 1 << 4,
	FLAG = 1 << 5,
};

enum tail {
	TAIL_NONE,
	TAIL_NAME,
	TAIL_BODY,
	TAIL_PAIRS
};

struct layout {
	bool is_known;
	bool may_be_after;
	uint8_t fields;
	enum tail tail;
};

static const struct layout layouts[QUEUE_OP_COUNT] = {
	[QUEUE_OPEN] = { true, false, 0, TAIL_NONE },
	[QUEUE_CLOSE] = { true, false, 0, TAIL_NONE },
	[QUEUE_PUT] = { true, true, PRI | SECONDS | TTR, TAIL_BODY },
	[QUEUE_USE] = { true, true, 0, TAIL_NAME },
	[QUEUE_RESERVE] = { true, true, 0, TAIL_NONE },
	[QUEUE_RESERVE_TIMEOUT] = { true, true, SECONDS, TAIL_NONE },
	[QUEUE_RESERVE_JOB] = { true, true, ID, TAIL_NONE },
	[QUEUE_DELETE] = { true, true, ID, TAIL_NONE },
	[QUEUE_RELEASE] = { true, true, ID | PRI | SECONDS, TAIL_NONE },
	[QUEUE_BURY] = { true, true, ID | PRI, TAIL_NONE },
	[QUEUE_TOUCH] = { true, true, ID, TAIL_NONE },
	[QUEUE_WATCH] = { true, true, 0, TAIL_NAME },
	[QUEUE_IGNORE] = { true, true, 0, TAIL_NAME },
	[QUEUE_KICK] = { true, true, BOUND | FLAG, TAIL_NONE },
	[QUEUE_KICK_JOB] = { true, true, ID, TAIL_NONE },
	[QUEUE_PAUSE_TUBE] = { true, true, SECONDS, TAIL_NAME },
	[QUEUE_CANCEL] = { true, false, 0, TAIL_NONE },
	[QUEUE_COUNT] = { true, true, FLAG, TAIL_PAIRS },
	[QUEUE_ATTACH] = { true, false, ID, TAIL_NONE },
};

static size_t
fixed_bytes(const struct layout *l)
{
	size_t bytes = 1 + 8;

	bytes += (l->fields & ID) ? 8 : 0;
	bytes += (l->fields & PRI) ? 4 : 0;
	bytes += (l->fields & SECONDS) ? 4 : 0;
	bytes += (l->fields & TTR) ? 4 : 0;
	bytes += (l->fields & BOUND) ? 4 : 0;
	bytes += (l->fields & FLAG) ? 1 : 0;
	return bytes;
}

static bool
are_pairs_ok(const uint8_t *pairs, size_t bytes)
{
	if (bytes % QUEUE_COUNT_PAIR_BYTES != 0)
		return false;
	for (size_t at = 0; at < bytes; at += QUEUE_COUNT_PAIR_BYTES)
		if (pairs[at] > QUEUE_CMD_PAUSE_TUBE)
			return false;
	return true;
}

static bool
is_ok(const struct layout *l, const struct queue_command *c)
{
	if (c->op == QUEUE_KICK && c->flag > QUEUE_KICK_DELAYED)
		return false;
	if (c->op == QUEUE_COUNT && (c->flag > 1 || (c->is_after && c->flag == 0)))
		return false;
	if (c->is_after && !l->may_be_after)
		return false;
	if (c->op == QUEUE_ATTACH && (c->connection != 0 || c->id == 0 || c->id > UINT16_MAX))
		return false;
	switch (l->tail) {
	case TAIL_NONE: return c->tail_bytes == 0;
	case TAIL_NAME: return c->tail_bytes >= 1 && c->tail_bytes <= QUEUE_NAME_BYTES_MAX;
	case TAIL_PAIRS: return are_pairs_ok(c->tail, c->tail_bytes);
	default: return true;
	}
}

static const struct layout *
layout_of(unsigned int op)
{
	return op < QUEUE_OP_COUNT && layouts[op].is_known ? &layouts[op] : NULL;
}

static uint8_t *
put_u32(uint8_t *at, uint32_t value)
{
	queue_store_u32(at, value);
	return at + 4;
}

size_t
queue_command_encode(const struct queue_command *c, void *ret, size_t capacity)
{
	const struct layout *l = layout_of(c->op);
	uint8_t *at = ret;

	if (l == NULL || !is_ok(l, c) || fixed_bytes(l) + c->tail_bytes > capacity)
		return 0;
	*at++ = (uint8_t)(c->op | (c->is_after ? AFTER : 0));
	queue_store_u64(at, c->connection);
	at += 8;
	if (l->fields & ID) {
		queue_store_u64(at, c->id);
		at += 8;
	}
	if (l->fields & PRI)
		at = put_u32(at, c->pri);
	if (l->fields & SECONDS)
		at = put_u32(at, c->seconds);
	if (l->fields & TTR)
		at = put_u32(at, c->ttr_s);
	if (l->fields & BOUND)
		at = put_u32(at, c->bound);
	if (l->fields & FLAG)
		*at++ = c->flag;
	if (c->tail_bytes > 0)
		memcpy(at, c->tail, c->tail_bytes);
	return fixed_bytes(l) + c->tail_bytes;
}

static uint32_t
take_u32(const uint8_t **at)
{
	uint32_t value = queue_load_u32(*at);

	*at += 4;
	return value;
}

int
queue_command_decode(const void *bytes, size_t count, struct queue_command *ret_c)
{
	const uint8_t *at = bytes;
	const struct layout *l = count > 0 ? layout_of(at[0] & ~AFTER) : NULL;
	struct queue_command c = { 0 };

	if (l == NULL || count < fixed_bytes(l) || count - fixed_bytes(l) > UINT32_MAX)
		return -EBADMSG;
	c.is_after = (at[0] & AFTER) != 0;
	c.op = *at++ & ~AFTER;
	c.connection = queue_load_u64(at);
	at += 8;
	if (l->fields & ID) {
		c.id = queue_load_u64(at);
		at += 8;
	}
	if (l->fields & PRI)
		c.pri = take_u32(&at);
	if (l->fields & SECONDS)
		c.seconds = take_u32(&at);
	if (l->fields & TTR)
		c.ttr_s = take_u32(&at);
	if (l->fields & BOUND)
		c.bound = take_u32(&at);
	if (l->fields & FLAG)
		c.flag = *at++;
	c.tail = at;
	c.tail_bytes = (uint32_t)(count - fixed_bytes(l));
	if (!is_ok(l, &c))
		return -EBADMSG;
	*ret_c = c;
	return 0;
}
