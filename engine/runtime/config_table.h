/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file config_table.h
 * Every key of the configuration file, and how its value is read. Private to config.c and its
 * tests.
 */
#ifndef ENGINE_RUNTIME_CONFIG_TABLE_H
#define ENGINE_RUNTIME_CONFIG_TABLE_H

#include "engine/runtime/config.h"

enum config_section {
	CONFIG_SECTION_NONE = 0,
	CONFIG_SECTION_CLUSTER = 1,
	CONFIG_SECTION_NODE = 2,
	CONFIG_SECTION_LOCAL = 3,
	CONFIG_SECTION_SNAPSHOT = 4,
	CONFIG_SECTION_QUEUE = 5,
	CONFIG_SECTION_METRICS = 6,
};

enum config_kind {
	CONFIG_HEX,     /* u64, not 0 */
	CONFIG_COUNT,   /* u32 in [min, max] */
	CONFIG_NODE_ID, /* u16 in [min, max] */
	CONFIG_CPU,     /* i32 in [min, max] */
	CONFIG_MS,      /* milliseconds in [min, max], kept as u64 nanoseconds */
	CONFIG_SIZE,    /* u64 bytes in [min, max], suffix K, M or G; a multiple of 1 MiB */
	CONFIG_TEXT,
	CONFIG_PATH, /* relative to the file's folder */
	CONFIG_WORD, /* one of `words`, kept as its index in an enum */
	CONFIG_IPV4,
	CONFIG_MAC,
	CONFIG_CPUS,    /* "2,3,5-7" */
	CONFIG_PORT,    /* repeatable */
	CONFIG_LINK,    /* repeatable: node id, then the device */
	CONFIG_EAL_ARG, /* repeatable */
	CONFIG_LISTEN,  /* repeatable: "ADDRESS:PORT", "[V6]:PORT" or "unix:PATH" */
	CONFIG_ADDRESS, /* "ADDRESS:PORT" or "[V6]:PORT" */
};

struct config_key {
	enum config_section section;
	const char *name;
	enum config_kind kind;
	size_t offset_bytes; /* in struct config, or in struct config_node for section NODE */
	uint64_t min;
	uint64_t max;
	const char *const *words; /* NULL at the end */
};

extern const struct config_key config_keys[];
extern const uint32_t config_key_count;

/** @return NULL: no such key in that section */
const struct config_key *config_key_find(enum config_section section, const char *name);

/** The known name closest to a misspelt one, NULL if none is close. */
const char *config_key_nearest(enum config_section section, const char *name);
const char *config_section_nearest(const char *name);

bool config_key_is_repeatable(const struct config_key *key);

/**
 * Read one value into its place.
 * @param node      section NODE: the node that it belongs to
 * @param ret_want  on -EINVAL, "what is expected here", [DECREE_ERROR_BYTES]
 * @retval -EINVAL  malformed or out of range  @retval -E2BIG too many of a repeatable key
 */
int config_value_read(const struct config_key *key, const char *text, struct config *c,
	struct config_node *node, char *ret_want);

#endif
