/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file version.h
 * Which versions this build speaks on the wire, reads on disk, and can let a cluster be of
 * (protocol 16).
 *
 * One number for all three: a build that changes any of them takes the next one, and can still do
 * everything that `min` could. Two nodes talk at the highest version that both have. What a disk
 * says, and what a command means, follow the version of the cluster, which is in the log.
 */
#ifndef DECREE_BASE_VERSION_H
#define DECREE_BASE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

#define VERSION_FIRST 1

struct versions {
	uint8_t min;
	uint8_t max;
};

/* A word in an object of its own and no constant: a test links the same objects with another one
 * beside them, and that is the next build. */
extern const struct versions base_versions;

static inline bool
version_is_known(uint32_t version)
{
	return base_versions.min <= version && version <= base_versions.max;
}

#endif
