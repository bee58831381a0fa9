/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replicated key-value store, whole. docs/embedding.md walks through it.
 *   cc kv.c $(pkg-config --cflags --libs decree) -o kv && ./kv NODE.ini
 * One of these runs on each node. It reads commands, one in a line, and answers each with a line:
 *   set KEY VALUE   ok, or full
 *   add KEY VALUE   ok, full, or exists: of many who add the same key one gets ok
 *   del KEY         ok, or none
 *   get KEY         VALUE, or none. Sees whatever was answered on any node before
 */
#include <decree/node.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUCKET_COUNT 1024
#define ENTRY_COUNT  64 /* of one bucket */

enum answer {
	OK,
	NONE,
	EXISTS,
	FULL,
	MALFORMED
};
static const char *const answers[] = { "ok", "none", "exists", "full", "malformed" };

struct entry {
	char key[32]; /* terminated, and so is the value */
	char value[96];
};

struct command {
	char operation[4]; /* set, add, del */
	struct entry entry;
};

struct bucket {
	size_t count;
	struct entry entries[ENTRY_COUNT]; /* by key: equal states have equal bytes */
};

struct store {
	struct bucket buckets[BUCKET_COUNT]; /* by the hash of the key */
	struct decree_digest digest;         /* the sum over all entries */
	size_t walk_left; /* buckets at the end that a snapshot still waits for */
	bool has_image[BUCKET_COUNT];
	struct bucket images[BUCKET_COUNT]; /* as they were when it began */
	size_t restored_count;
};

static uint64_t
hash(const void *from, size_t count)
{
	const uint8_t *bytes = from;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < count; i++)
		h = (h ^ bytes[i]) * 0x100000001b3;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
	return h ^ h >> 32;
}

/* @return where in which bucket it is, or has to be put */
static size_t
find(struct store *s, const char *key, struct bucket **ret_bucket, bool *ret_is_there)
{
	struct bucket *b = &s->buckets[hash(key, strlen(key)) % BUCKET_COUNT];
	size_t i = 0;

	while (i < b->count && strcmp(b->entries[i].key, key) < 0)
		i++;
	*ret_bucket = b;
	*ret_is_there = i < b->count && strcmp(b->entries[i].key, key) == 0;
	return i;
}

/* Before a bucket changes: a snapshot that has not come to it yet is to find it as it was. */
static void
keep_image(struct store *s, size_t index)
{
	if (index + s->walk_left < BUCKET_COUNT || s->has_image[index])
		return;
	s->images[index] = s->buckets[index];
	s->has_image[index] = true;
}

static void
insert(struct store *s, struct bucket *b, size_t i, const struct entry *entry)
{
	keep_image(s, (size_t)(b - s->buckets));
	memmove(&b->entries[i + 1], &b->entries[i], (b->count++ - i) * sizeof(*entry));
	b->entries[i] = *entry;
	s->digest.lo += hash(entry, sizeof(*entry));
}

static void
erase(struct store *s, struct bucket *b, size_t i)
{
	keep_image(s, (size_t)(b - s->buckets));
	s->digest.lo -= hash(&b->entries[i], sizeof(b->entries[i]));
	memmove(&b->entries[i], &b->entries[i + 1], (--b->count - i) * sizeof(b->entries[i]));
}

/* ---- the state machine ---- */

static enum answer
execute(struct store *s, const void *body, uint32_t bytes)
{
	struct command c;
	struct bucket *b;
	bool is_there;
	size_t i;

	if (bytes != sizeof(c))
		return MALFORMED;    /* whoever has the client key may submit what he likes */
	memcpy(&c, body, sizeof(c)); /* a body may lie at any address */
	c.entry.key[sizeof(c.entry.key) - 1] = c.entry.value[sizeof(c.entry.value) - 1] = '\0';
	i = find(s, c.entry.key, &b, &is_there);
	if (c.operation[0] == 'd' && !is_there)
		return NONE;
	if (c.operation[0] == 'a' && is_there)
		return EXISTS;
	if (!is_there && b->count == ENTRY_COUNT)
		return FULL;
	if (is_there)
		erase(s, b, i);
	if (c.operation[0] != 'd')
		insert(s, b, i, &c.entry);
	return OK;
}

static void
apply(void *machine, const struct decree_command *commands, uint32_t count, uint64_t cluster_ns,
	struct decree_sink *sink)
{
	(void)cluster_ns; /* nothing expires */
	for (uint32_t i = 0; i < count; i++)
		decree_sink_answer(sink, commands[i].session, commands[i].seq,
			execute(machine, commands[i].body, commands[i].bytes), 0);
}

static struct decree_digest
digest(void *machine)
{
	return ((struct store *)machine)->digest;
}

/* The question is a key, the answer its value, or nothing. */
static int32_t
answer(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	char key[DECREE_QUERY_BYTES_MAX + 1] = "";
	struct bucket *b;
	bool is_there;
	size_t i;

	memcpy(key, query, bytes);
	i = find(machine, key, &b, &is_there);
	if (!is_there || capacity < sizeof(b->entries[i].value))
		return is_there ? -EMSGSIZE : 0;
	memcpy(ret_answer, b->entries[i].value, sizeof(b->entries[i].value));
	return sizeof(b->entries[i].value);
}

/* ---- snapshots: one chunk for each bucket ---- */

static int
snapshot_begin(void *machine)
{
	struct store *s = machine;

	s->walk_left = BUCKET_COUNT;
	memset(s->has_image, 0, sizeof(s->has_image));
	return 0;
}

static int
snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct store *s = machine;
	size_t index = BUCKET_COUNT - s->walk_left;

	if (s->walk_left == 0)
		return 0;
	keep_image(s, index); /* in any case: it may change before the chunk is written */
	s->walk_left--;
	*ret_chunk = (struct decree_chunk){ index, s->images[index].entries,
		s->images[index].count * sizeof(struct entry) };
	return 1;
}

static void
snapshot_end(void *machine)
{
	((struct store *)machine)->walk_left = 0;
}

static int
restore_begin(void *machine)
{
	memset(machine, 0, sizeof(struct store));
	return 0;
}

static int
restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct store *s = machine;
	struct entry entries[ENTRY_COUNT];

	if (chunk->index != s->restored_count || s->restored_count++ == BUCKET_COUNT ||
		chunk->count > sizeof(entries) || chunk->count % sizeof(*entries) != 0)
		return -EBADMSG;
	memcpy(entries, chunk->bytes, chunk->count);
	for (size_t i = 0; i < chunk->count / sizeof(*entries); i++)
		insert(s, &s->buckets[chunk->index], i, &entries[i]);
	return 0;
}

static int
restore_end(void *machine)
{
	return ((struct store *)machine)->restored_count == BUCKET_COUNT ? 0 : -EBADMSG;
}

static const struct decree_machine_ops store_ops = { sizeof(store_ops), .apply = apply,
	.digest = digest, .read = answer, .snapshot_begin = snapshot_begin,
	.snapshot_next = snapshot_next, .snapshot_end = snapshot_end,
	.restore_begin = restore_begin, .restore_next = restore_next, .restore_end = restore_end };

/* ---- the program: a line comes in, a command or a question goes out, its answer is awaited ---- */

static struct decree_node *node;
static struct decree_proposer *proposer;

static void
wait_a_little(void)
{
	char error[DECREE_ERROR_BYTES];

	if (decree_health(node, error) != 0)
		errx(1, "%s", error);
	usleep(50);
}

static const char *
obey(const char *line)
{
	struct command c = { 0 };
	const struct entry *e = &c.entry;
	struct decree_completion done;
	int key_end = 0, end = 0,
	    count = sscanf(line, "%3s %31s%n %95[^\n]%n", c.operation, c.entry.key, &key_end,
		    c.entry.value, &end);
	bool is_get = strcmp(c.operation, "get") == 0, is_del = strcmp(c.operation, "del") == 0;
	bool is_set = strcmp(c.operation, "set") == 0 || strcmp(c.operation, "add") == 0;

	if (!(is_set && count == 3 && line[key_end] == ' ' && line[end] == '\n') &&
		!((is_get || is_del) && count == 2 && line[key_end] == '\n'))
		return "set KEY VALUE, add KEY VALUE, del KEY, or get KEY; 31 and 95 bytes at most";
	while ((is_get ? decree_read(proposer, e->key, strlen(e->key), DECREE_LINEARIZABLE, NULL)
		       : decree_propose(proposer, &c, sizeof(c), NULL)) != 0)
		wait_a_little(); /* its session is being opened */
	while (decree_poll(proposer, &done, 1) == 0)
		wait_a_little();
	if (done.outcome != DECREE_APPLIED)
		return "unknown";
	return is_get ? (done.answer_bytes > 0 ? done.answer : answers[NONE])
		      : answers[done.status];
}

int
main(int argc, char **argv)
{
	static struct store store;
	void *machines[] = { &store };
	const struct decree_options options = { sizeof(options), argc > 1 ? argv[1] : "",
		.machine_ops = &store_ops, .machines = machines, .group_count = 1 };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	char line[256], error[DECREE_ERROR_BYTES] = "the node could not be started";

	if (decree_open(&options, &node, error) != 0 || decree_start(node) != 0 ||
		decree_proposer_open(node, 0, &proposer, error) != 0)
		errx(1, "%s", error);
	setvbuf(stdin, NULL, _IONBF, 0); /* so that poll() sees whatever was not read yet */
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		puts(obey(line));
		while (poll(&input, 1, 100) == 0)
			wait_a_little(); /* ends the program if the node has ended */
	}
	decree_proposer_close(proposer);
	decree_close(node);
	return 0;
}
