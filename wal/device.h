/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file device.h
 * What the block device under a folder says about itself, and what follows for durable writes.
 *
 * Threads:  any.   Errors: what the kernel does not tell is "unknown", which is always treated as the worst.
 */
#ifndef DECREE_WAL_DEVICE_H
#define DECREE_WAL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_DEVICE_SYS_FOLDER     "/sys/dev/block"
#define WAL_DEVICE_SENTENCE_BYTES 256

enum wal_device_cache {
	WAL_DEVICE_CACHE_UNKNOWN = 0,
	WAL_DEVICE_CACHE_THROUGH, /* none, or one that survives power loss: what completed is durable */
	WAL_DEVICE_CACHE_BACK, /* volatile: durable once flushed */
};

struct wal_device {
	char name[32]; /* "vda", "nvme0n1p2"; "8:1" if unknown */
	enum wal_device_cache cache;
	bool has_fua;                 /* one write can be made durable by itself, without a flush */
	uint32_t logical_block_bytes; /* 0 = unknown */
	uint32_t physical_block_bytes;
};

/**
 * Ask for one device.
 * @param sys_folder  WAL_DEVICE_SYS_FOLDER, but in tests
 * @param ret         always filled
 */
void wal_device_probe(
	const char *sys_folder, unsigned int major, unsigned int minor, struct wal_device *ret);

/** Ask for the device of a folder or file. @retval 0  @retval -errno  it cannot be looked at */
int wal_device_of(const char *path, struct wal_device *ret_device);

/**
 * Whether one durable write also makes those that completed before it durable: true only if the
 * device is known to flush its whole cache for it, or to have none.
 */
bool wal_device_flushes_all(const struct wal_device *device);

/** For the operator: the device, and what a durable write takes on it. @param ret
 * [WAL_DEVICE_SENTENCE_BYTES] */
void wal_device_sentence(const struct wal_device *device, char *ret);

#endif
