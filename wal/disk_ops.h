/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file disk_ops.h
 * The disk as the log sees it: a few preallocated files, asynchronous aligned reads and writes.
 *
 * Implemented by wal/disk_uring.c (the only file that knows io_uring), by wal/disk_memory.c (mode
 * `memory`: nothing is written), and by tests/lib/disk_fake.c for tests and the simulator.
 *
 * A write without DISK_WRITE_DURABLE may be lost, torn at any sector, or reordered with others
 * until sync_all(); one with it has reached stable storage when it completes. Whether that also
 * makes earlier writes stable depends on the device (a flush does, FUA does not), so nothing may
 * rely on it.
 */
#ifndef DECREE_WAL_DISK_OPS_H
#define DECREE_WAL_DISK_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_file {
	DISK_IDENTITY = 0,
	DISK_HARDSTATE = 1,
	DISK_SEGMENTS = 2,
	DISK_IDENTIFIERS = 3,
	DISK_FILE_COUNT = 4,
};

enum disk_request_kind {
	DISK_READ = 1,
	DISK_WRITE = 2,
	/* durable when it completes (in mode `buffered`: in the page cache) */
	DISK_WRITE_DURABLE = 3,
};

struct disk_request {
	enum disk_request_kind kind;
	enum disk_file file;
	uint64_t offset_bytes; /* multiple of 512 */
	void *buffer; /* multiple of 512; inside the memory given to attach() where it is a log buffer;
				  owned by the disk until the completion is reaped */
	uint32_t bytes; /* multiple of 512 */
	uint64_t token; /* returned with the completion */
};

struct disk_completion {
	uint64_t token;
	int32_t result; /* bytes done (fewer than asked = short), or -errno */
};

struct disk_ops {
	/** Sizes in bytes of the four files; 0 = missing. @return 0 or -errno */
	int (*sizes)(void *disk, uint64_t ret_bytes[DISK_FILE_COUNT]);

	/** Create or extend a file to @p bytes, allocated but not written. Start-up only; blocks. */
	int (*allocate)(void *disk, enum disk_file file, uint64_t bytes);

	/** Make every completed write, file creation and size durable (fsync of files and
	 * directory). Start-up and shut-down only; blocks. */
	int (*sync_all)(void *disk);

	/** Register the log's buffers once, so that requests need not be mapped one by one.
	 * @param memory  page-aligned region that holds every buffer of later requests */
	int (*attach)(void *disk, void *memory, size_t bytes);

	/** Queue requests; the kernel sees them at the next kick(). @return how many were queued */
	uint32_t (*submit)(void *disk, const struct disk_request *requests, uint32_t count);

	/** One system call for everything queued since the last one. */
	void (*kick)(void *disk);

	/** @return completions written to @p ret; never blocks */
	uint32_t (*reap)(void *disk, struct disk_completion *ret, uint32_t count_max);

	/** Let time pass until a completion may have arrived. Start-up and shut-down only; may
	 * block. */
	void (*wait)(void *disk);
};

#endif
