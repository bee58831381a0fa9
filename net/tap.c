/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tap.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MASK (TAP_RING_BYTES - 1)

static_assert((TAP_RING_BYTES & MASK) == 0, "places are taken modulo the ring");
static_assert(sizeof(struct tap_record) == 16, "records stay aligned");

int
tap_init(struct tap *tap)
{
	void *ring = mmap(NULL, TAP_RING_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*tap = (struct tap){ .snap_bytes = TAP_SNAP_BYTES_MAX };
	if (ring == MAP_FAILED)
		return -ENOMEM;
	tap->ring = ring;
	return 0;
}

void
tap_fini(struct tap *tap)
{
	if (tap->ring != NULL)
		(void)munmap(tap->ring, TAP_RING_BYTES); /* it is ours */
	tap->ring = NULL;
}

void
tap_reset(struct tap *tap, uint32_t snap_bytes)
{
	decree_assert(snap_bytes >= TAP_SNAP_BYTES_MIN);
	decree_assert(snap_bytes <= TAP_SNAP_BYTES_MAX);

	tap->snap_bytes = snap_bytes;
	atomic_store_explicit(&tap->head, 0, memory_order_relaxed);
	atomic_store_explicit(&tap->tail, 0, memory_order_relaxed);
	atomic_store_explicit(&tap->lost_count, 0, memory_order_relaxed);
}

/* Both copy across the end of the ring. */
static void
copy_in(struct tap *tap, uint64_t at, const void *from, uint32_t bytes)
{
	uint32_t first = (uint32_t)(at & MASK);
	uint32_t part = bytes < TAP_RING_BYTES - first ? bytes : TAP_RING_BYTES - first;

	memcpy(tap->ring + first, from, part);
	memcpy(tap->ring, (const uint8_t *)from + part, bytes - part);
}

static void
copy_out(const struct tap *tap, uint64_t at, void *to, uint32_t bytes)
{
	uint32_t first = (uint32_t)(at & MASK);
	uint32_t part = bytes < TAP_RING_BYTES - first ? bytes : TAP_RING_BYTES - first;

	memcpy(to, tap->ring + first, part);
	memcpy((uint8_t *)to + part, tap->ring, bytes - part);
}

static uint32_t
record_bytes(uint32_t kept_bytes)
{
	return (uint32_t)sizeof(struct tap_record) + (kept_bytes + 7u) / 8u * 8u;
}

void
tap_push(struct tap *tap, uint64_t stamp_ns, uint8_t port, enum tap_direction direction,
	const uint8_t *frame, uint32_t held_bytes, uint32_t frame_bytes)
{
	uint32_t kept = held_bytes < tap->snap_bytes ? held_bytes : tap->snap_bytes;
	struct tap_record record = {
		.stamp_ns = stamp_ns,
		.frame_bytes = frame_bytes,
		.kept_bytes = (uint16_t)kept,
		.port = port,
		.direction = (uint8_t)direction,
	};
	uint64_t head = atomic_load_explicit(&tap->head, memory_order_relaxed);
	/* Acquire: pairs with the release in tap_pop(); what is written over has been read. */
	uint64_t tail = atomic_load_explicit(&tap->tail, memory_order_acquire);

	if (TAP_RING_BYTES - (head - tail) < record_bytes(kept)) {
		uint64_t lost = atomic_load_explicit(&tap->lost_count, memory_order_relaxed);

		atomic_store_explicit(&tap->lost_count, lost + 1, memory_order_relaxed);
		return;
	}
	copy_in(tap, head, &record, sizeof(record));
	copy_in(tap, head + sizeof(record), frame, kept);
	/* Release: pairs with the acquire in tap_pop(); the record is whole. */
	atomic_store_explicit(&tap->head, head + record_bytes(kept), memory_order_release);
}

bool
tap_pop(struct tap *tap, struct tap_record *ret_record, uint8_t *ret_frame)
{
	uint64_t tail = atomic_load_explicit(&tap->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&tap->head, memory_order_acquire);

	if (tail == head)
		return false;
	copy_out(tap, tail, ret_record, sizeof(*ret_record));
	decree_assert(ret_record->kept_bytes <= TAP_SNAP_BYTES_MAX);
	copy_out(tap, tail + sizeof(*ret_record), ret_frame, ret_record->kept_bytes);
	atomic_store_explicit(
		&tap->tail, tail + record_bytes(ret_record->kept_bytes), memory_order_release);
	return true;
}

uint64_t
tap_lost_count(const struct tap *tap)
{
	return atomic_load_explicit(&tap->lost_count, memory_order_relaxed);
}
