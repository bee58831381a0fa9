/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk_fake.h
 * A disk in memory that behaves as badly as a real one may, and repeats it exactly for the same
 * seed.
 *
 * A write reaches the file when it completes. Without DISK_WRITE_DURABLE it is only in the disk's
 * cache then, and a power cut keeps or loses each of its sectors by itself. Of a write still in
 * flight, durable or not, a power cut leaves any subset of sectors. A durable write makes only
 * itself stable (as FUA does), never its neighbours.
 *
 * Time:   reap() returns what is due at now_ns. A simulator moves it by disk_fake_set_now(); a test
 *         sets `reap_ns`, and each reap() moves it.
 * Owner:  one thread. Memory: all files, twice; what holds only zeros takes none.
 */
#ifndef DECREE_TESTS_DISK_FAKE_H
#define DECREE_TESTS_DISK_FAKE_H

#include "wal/disk_ops.h"

struct disk_fake;

struct disk_fake_config {
	uint64_t seed;
	uint64_t latency_ns_min; /* of a request, drawn evenly from [min, max] */
	uint64_t latency_ns_max;
	uint64_t reap_ns;      /* what one reap() adds to now_ns; 0: the owner moves the clock */
	bool flush_covers_all; /* a durable write also makes all that completed before it stable */
};

extern const struct disk_ops disk_fake_ops;

/** Aborts if there is no memory. */
struct disk_fake *disk_fake_create(const struct disk_fake_config *cfg);
void disk_fake_destroy(struct disk_fake *d);

/** Same files, same cache, nothing in flight. */
struct disk_fake *disk_fake_copy(const struct disk_fake *d, uint64_t seed);

/** Make @p d what a new copy of @p from with this configuration would be; cheap if both hold
 * little. */
void disk_fake_assign(
	struct disk_fake *d, const struct disk_fake *from, const struct disk_fake_config *cfg);

void disk_fake_set_now(struct disk_fake *d, uint64_t now_ns);

/** @return when the next request completes, UINT64_MAX if none is in flight */
uint64_t disk_fake_next_ns(const struct disk_fake *d);

/** Nothing completes before @p until_ns; 0: what waits completes now. */
void disk_fake_stall(struct disk_fake *d, uint64_t until_ns);

/** @return completions returned so far */
uint64_t disk_fake_completion_count(const struct disk_fake *d);

/** From now on it says that writes are durable although they are only in its cache. A power cut
 * during that keeps some of their sectors, or loses all that was written since. */
void disk_fake_set_lying(struct disk_fake *d, bool is_lying);

/** The next power cut also leaves sectors of which the first bytes are new and the rest is old. */
void disk_fake_tear(struct disk_fake *d);

/** The next write to the segments that says anything goes to that offset, if it fits there, and is
 * reported like any other. */
void disk_fake_misdirect(struct disk_fake *d, uint64_t offset_bytes);

/** Power cut: see above. Nothing is in flight afterwards, no completion is returned. */
void disk_fake_cut_power(struct disk_fake *d);

/** kill -9: the kernel finishes what is in flight, and nothing is lost; no completion is returned. */
void disk_fake_kill_process(struct disk_fake *d);

/** Let the call or request after @p count more of them fail with @p rc, once; -1 as @p count: none.
 * A request with rc > 0 is cut short to that many bytes instead. After a write or a flush that
 * failed, later ones say that they are durable and are not, as with a kernel that has marked its
 * pages clean, until the next call of this. */
void disk_fake_fail_after(struct disk_fake *d, int64_t count, int rc);

/** @return false if fail_after() has not struck yet */
bool disk_fake_has_failed(const struct disk_fake *d);

/** @return requests and blocking calls so far */
uint64_t disk_fake_call_count(const struct disk_fake *d);

/** The file as it is read now. Changing it is damage, and stable. @p ret_bytes may be NULL */
uint8_t *disk_fake_data(struct disk_fake *d, enum disk_file file, uint64_t *ret_bytes);
void disk_fake_flip(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes, uint8_t mask);

/** Reads of these bytes fail with -EIO. One range at a time; @p bytes 0: none. */
void
disk_fake_spoil(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes, uint64_t bytes);

/** The same of one sector, until it is written again; of 64 at most, more are not lost. */
void disk_fake_lose_sector(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes);

/** The file as it is read now. */
const uint8_t *disk_fake_seen(const struct disk_fake *d, enum disk_file file);

/** Whether a power cut leaves the sector at an offset as it is read now, but for writes in flight. */
bool disk_fake_is_stable(const struct disk_fake *d, enum disk_file file, uint64_t offset_bytes);

/** Damage, and stable. @p from may be a part of the same file. */
void disk_fake_overwrite(struct disk_fake *d, enum disk_file file, uint64_t offset_bytes,
	const uint8_t *from, uint64_t bytes);

/** Cut or extend (by zeros); 0 removes the file. */
void disk_fake_resize(struct disk_fake *d, enum disk_file file, uint64_t bytes);

#endif
