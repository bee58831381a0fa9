/* SPDX-License-Identifier: Apache-2.0 */
/* The replies of one line. */
#include "queue/print.h"
#include "queue/protocol.h"

static const char *const words[QUEUE_REPLY_COUNT] = {
	[QUEUE_REPLY_OUT_OF_MEMORY] = "OUT_OF_MEMORY\r\n",
	[QUEUE_REPLY_INTERNAL_ERROR] = "INTERNAL_ERROR\r\n",
	[QUEUE_REPLY_DRAINING] = "DRAINING\r\n",
	[QUEUE_REPLY_BAD_FORMAT] = "BAD_FORMAT\r\n",
	[QUEUE_REPLY_UNKNOWN_COMMAND] = "UNKNOWN_COMMAND\r\n",
	[QUEUE_REPLY_EXPECTED_CRLF] = "EXPECTED_CRLF\r\n",
	[QUEUE_REPLY_JOB_TOO_BIG] = "JOB_TOO_BIG\r\n",
	[QUEUE_REPLY_NOT_FOUND] = "NOT_FOUND\r\n",
	[QUEUE_REPLY_DELETED] = "DELETED\r\n",
	[QUEUE_REPLY_RELEASED] = "RELEASED\r\n",
	[QUEUE_REPLY_BURIED] = "BURIED\r\n",
	[QUEUE_REPLY_TOUCHED] = "TOUCHED\r\n",
	[QUEUE_REPLY_KICKED] = "KICKED\r\n",
	[QUEUE_REPLY_PAUSED] = "PAUSED\r\n",
	[QUEUE_REPLY_NOT_IGNORED] = "NOT_IGNORED\r\n",
	[QUEUE_REPLY_TIMED_OUT] = "TIMED_OUT\r\n",
	[QUEUE_REPLY_DEADLINE_SOON] = "DEADLINE_SOON\r\n",
};

size_t
queue_reply_word(enum queue_reply reply, char *ret, size_t capacity)
{
	struct print p = print_start(ret, capacity);

	queue_assert(reply < QUEUE_REPLY_COUNT);
	print_string(&p, words[reply]);
	return print_end(&p);
}

/* "word n\r\n" */
static size_t
word_and_number(const char *word, uint64_t n, char *ret, size_t capacity)
{
	struct print p = print_start(ret, capacity);

	print_string(&p, word);
	print_number(&p, n);
	print_string(&p, "\r\n");
	return print_end(&p);
}

size_t
queue_reply_inserted(uint64_t id, char *ret, size_t capacity)
{
	return word_and_number("INSERTED ", id, ret, capacity);
}

size_t
queue_reply_watching(uint64_t count, char *ret, size_t capacity)
{
	return word_and_number("WATCHING ", count, ret, capacity);
}

size_t
queue_reply_kicked(uint64_t count, char *ret, size_t capacity)
{
	return word_and_number("KICKED ", count, ret, capacity);
}

size_t
queue_reply_ok(uint64_t yaml_bytes, char *ret, size_t capacity)
{
	return word_and_number("OK ", yaml_bytes, ret, capacity);
}

size_t
queue_reply_using(const void *name, uint32_t name_bytes, char *ret, size_t capacity)
{
	struct print p = print_start(ret, capacity);

	print_string(&p, "USING ");
	print_bytes(&p, name, name_bytes);
	print_string(&p, "\r\n");
	return print_end(&p);
}

/* "word id bytes\r\n" */
static size_t
word_and_job(const char *word, uint64_t id, uint32_t body_bytes, char *ret, size_t capacity)
{
	struct print p = print_start(ret, capacity);

	print_string(&p, word);
	print_number(&p, id);
	print_string(&p, " ");
	print_number(&p, body_bytes);
	print_string(&p, "\r\n");
	return print_end(&p);
}

size_t
queue_reply_reserved(uint64_t id, uint32_t body_bytes, char *ret, size_t capacity)
{
	return word_and_job("RESERVED ", id, body_bytes, ret, capacity);
}

size_t
queue_reply_found(uint64_t id, uint32_t body_bytes, char *ret, size_t capacity)
{
	return word_and_job("FOUND ", id, body_bytes, ret, capacity);
}
