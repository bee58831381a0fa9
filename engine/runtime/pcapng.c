/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/pcapng.h"

#include "base/assert.h"

#include <string.h>

#define BLOCK_SECTION    0x0a0d0d0au
#define BLOCK_INTERFACE  1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET     6u

#define BYTE_ORDER_MAGIC   0x1a2b3c4du
#define LINKTYPE_ETHERNET  1u
#define OPTION_COMMENT     1u
#define OPTION_PROGRAM     4u /* of a section */
#define OPTION_NAME        2u /* of an interface, as the next ones */
#define OPTION_DESCRIPTION 3u
#define OPTION_TSRESOL     9u
#define OPTION_FLAGS       2u /* of a packet */
#define OPTION_RECEIVED    4u /* of statistics, as the next one */
#define OPTION_LOST        5u
#define FLAG_INBOUND       1u
#define FLAG_OUTBOUND      2u

struct writer {
	uint8_t *out;
	uint32_t bytes;
};

static void
put(struct writer *w, const void *from, uint32_t bytes)
{
	memcpy(w->out + w->bytes, from, bytes);
	w->bytes += bytes;
}

static void
put_u16(struct writer *w, uint16_t v)
{
	put(w, &v, sizeof(v));
}

static void
put_u32(struct writer *w, uint32_t v)
{
	put(w, &v, sizeof(v));
}

static void
put_padded(struct writer *w, const void *from, uint32_t bytes)
{
	static const uint8_t zero[4];

	put(w, from, bytes);
	put(w, zero, (4 - bytes % 4) % 4);
}

static void
put_option(struct writer *w, uint16_t code, const void *value, uint16_t bytes)
{
	put_u16(w, code);
	put_u16(w, bytes);
	put_padded(w, value, bytes);
}

static void
put_text(struct writer *w, uint16_t code, const char *text)
{
	size_t bytes = strlen(text);

	put_option(w, code, text,
		(uint16_t)(bytes < PCAPNG_TEXT_BYTES_MAX ? bytes : PCAPNG_TEXT_BYTES_MAX));
}

static struct writer
begin(uint8_t *out, uint32_t type)
{
	struct writer w = { .out = out };

	put_u32(&w, type);
	put_u32(&w, 0); /* the length: end() knows it */
	return w;
}

/* Closes the list of options, and the block, whose length stands at both of its ends. */
static uint32_t
end(struct writer *w)
{
	uint32_t bytes;

	put_u32(w, 0);
	bytes = w->bytes + (uint32_t)sizeof(bytes);
	put_u32(w, bytes);
	memcpy(w->out + 4, &bytes, sizeof(bytes));
	return bytes;
}

/* The upper half comes first, whatever the order of bytes. */
static void
put_time(struct writer *w, uint64_t unix_ns)
{
	put_u32(w, (uint32_t)(unix_ns >> 32));
	put_u32(w, (uint32_t)unix_ns);
}

uint32_t
pcapng_section(const char *program, const char *comment, uint8_t ret_out[PCAPNG_BLOCK_BYTES_MAX])
{
	const int64_t unknown_length = -1;
	struct writer w = begin(ret_out, BLOCK_SECTION);

	put_u32(&w, BYTE_ORDER_MAGIC);
	put_u16(&w, 1); /* version 1.0 */
	put_u16(&w, 0);
	put(&w, &unknown_length, sizeof(unknown_length));
	put_text(&w, OPTION_COMMENT, comment);
	put_text(&w, OPTION_PROGRAM, program);
	return end(&w);
}

uint32_t
pcapng_interface(const char *name, const char *description, uint32_t snap_bytes,
	uint8_t ret_out[PCAPNG_BLOCK_BYTES_MAX])
{
	const uint8_t nanoseconds = 9;
	struct writer w = begin(ret_out, BLOCK_INTERFACE);

	put_u16(&w, LINKTYPE_ETHERNET);
	put_u16(&w, 0);
	put_u32(&w, snap_bytes);
	put_text(&w, OPTION_NAME, name);
	put_text(&w, OPTION_DESCRIPTION, description);
	put_option(&w, OPTION_TSRESOL, &nanoseconds, sizeof(nanoseconds));
	return end(&w);
}

uint32_t
pcapng_packet(const struct pcapng_packet *packet, const uint8_t *frame, uint8_t *ret_out)
{
	uint32_t flags = packet->is_sent ? FLAG_OUTBOUND : FLAG_INBOUND;
	struct writer w = begin(ret_out, BLOCK_PACKET);

	decree_assert(packet->kept_bytes <= packet->frame_bytes);

	put_u32(&w, packet->interface);
	put_time(&w, packet->unix_ns);
	put_u32(&w, packet->kept_bytes);
	put_u32(&w, packet->frame_bytes);
	put_padded(&w, frame, packet->kept_bytes);
	put_option(&w, OPTION_FLAGS, &flags, sizeof(flags));
	return end(&w);
}

uint32_t
pcapng_statistics(uint32_t interface, uint64_t unix_ns, uint64_t frame_count, uint64_t lost_count,
	uint8_t ret_out[PCAPNG_BLOCK_BYTES_MAX])
{
	struct writer w = begin(ret_out, BLOCK_STATISTICS);

	put_u32(&w, interface);
	put_time(&w, unix_ns);
	put_option(&w, OPTION_RECEIVED, &frame_count, sizeof(frame_count));
	put_option(&w, OPTION_LOST, &lost_count, sizeof(lost_count));
	return end(&w);
}
