/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file config.h
 * The INI file that describes a cluster and one node of it, read into a plain struct.
 *
 * docs/operating.md lists every key; the table in config_table.c is what the program knows. A file
 * is refused with the first thing that is wrong in it: file, line, what, and what to write instead.
 *
 * Threads:  any; nothing is shared.  Memory: the caller's; nothing is kept.
 * Errors:   -errno and one sentence in `ret_error`.
 */
#ifndef ENGINE_RUNTIME_CONFIG_H
#define ENGINE_RUNTIME_CONFIG_H

#include "decree/types.h"

#include <stddef.h>

#define CONFIG_LINE_BYTES_MAX    199 /* libinih reads lines into 200 bytes and cuts longer ones */
#define CONFIG_TEXT_BYTES        200
#define CONFIG_PATH_BYTES        1024
#define CONFIG_PORT_COUNT_MAX    8
#define CONFIG_EAL_ARG_COUNT_MAX 32
#define CONFIG_LISTEN_COUNT_MAX  8
#define CONFIG_KEY_BYTES         32

/* Bytes of an IPv4 packet that carry no part of a slot's value: IP, UDP and the authenticated frame
 * (76), and the header of an Accept (ENG_VALUE_OVERHEAD_BYTES). */
#define CONFIG_SLOT_OVERHEAD_BYTES 172

enum config_auth {
	CONFIG_AUTH_GMAC = 0,
	CONFIG_AUTH_NONE = 1,
};

enum config_admin {
	CONFIG_ADMIN_NO = 0, /* clients may not change how the cluster runs */
	CONFIG_ADMIN_YES = 1,
};

enum config_hugepages {
	CONFIG_HUGEPAGES_AUTO = 0, /* if the host has some, else a notice */
	CONFIG_HUGEPAGES_NO = 1,
};

enum config_joins {
	CONFIG_JOINS_NO = 0,  /* a founding member */
	CONFIG_JOINS_YES = 1, /* known beforehand, takes no part before it is added */
};

enum config_unquoted_yaml {
	CONFIG_UNQUOTED_YAML_NO = 0,
	CONFIG_UNQUOTED_YAML_YES = 1, /* as beanstalkd up to 1.12 writes it */
};

struct config_node {
	uint16_t node_id;
	uint32_t ipv4; /* host order */
	bool has_mac;  /* false: ARP asks */
	uint8_t mac[6];
	enum config_joins joins;
};

struct config_port {
	char device[CONFIG_TEXT_BYTES]; /* PCI address or vdev string */
	uint16_t peer_id;               /* 0: shared by all peers without a link of their own */
};

struct config {
	char path[CONFIG_PATH_BYTES]; /* of the file itself, for later messages */

	/* [cluster]: equal on all nodes */
	uint64_t cluster_id;
	char name[CONFIG_TEXT_BYTES];
	enum config_auth auth;
	char key_file[CONFIG_PATH_BYTES];        /* "" = none */
	char client_key_file[CONFIG_PATH_BYTES]; /* "" = none: clients are refused */
	char key_file_also[CONFIG_PATH_BYTES];   /* "" = none: peers use key_file's */
	char client_key_file_also[CONFIG_PATH_BYTES];
	enum config_admin admin;
	uint32_t shard_count;
	uint32_t group_count;
	uint32_t slot_bytes;
	uint32_t alpha;
	uint32_t window_slots;
	uint32_t command_bytes_max;
	uint32_t session_count;
	uint32_t session_window;
	uint32_t session_idle_slots;
	uint32_t digest_slots;
	uint64_t heartbeat_ns;
	uint64_t election_ns;
	uint64_t disk_stall_ns;
	uint64_t lease_ns;      /* 0 = no leases */
	uint32_t max_drift_ppm; /* of any node's clock; leases trust in it */
	uint32_t base_port;
	uint32_t mtu;
	uint32_t q1;
	uint32_t q2;

	/* [node N] */
	uint32_t node_count;
	struct config_node nodes[DECREE_NODE_COUNT_MAX]; /* ascending node_id */

	/* [local]: this node; all 0 in a file for clients */
	uint16_t node_id;
	char data_dir[CONFIG_PATH_BYTES];
	enum decree_log_mode log_mode;
	uint64_t log_bytes;     /* of each shard's log; a multiple of segment_bytes */
	uint64_t segment_bytes; /* a multiple of 1 MiB */
	struct config_port ports[CONFIG_PORT_COUNT_MAX];
	uint32_t port_count;
	uint16_t cpus[DECREE_SHARD_COUNT_MAX]; /* [shard_count] if cpu_count > 0 */
	uint32_t cpu_count;                    /* 0: not pinned by the file */
	int32_t control_cpu;                   /* -1: any */
	enum decree_idle idle;
	enum config_hugepages hugepages;
	char eal_args[CONFIG_EAL_ARG_COUNT_MAX][CONFIG_TEXT_BYTES];
	uint32_t eal_arg_count;

	/* [snapshot]: this node's */
	char snapshot_dir[CONFIG_PATH_BYTES]; /* "" = snapshots in data_dir */
	/* 10^6 bytes/s, of all shards together; 0 = logs are not read again */
	uint32_t scrub_rate_mb;
	uint32_t snapshot_rate_mb;        /* 10^6 bytes/s, of all shards together */
	uint32_t snapshot_interval_slots; /* 0 = only when the log needs the space */

	/* [queue]: for programs whose machine is the task queue */
	uint64_t queue_bytes; /* a multiple of 1 MiB; equal on all nodes */
	uint32_t job_bytes_max;
	enum config_unquoted_yaml unquoted_yaml;
	char listens[CONFIG_LISTEN_COUNT_MAX][CONFIG_TEXT_BYTES];
	uint32_t listen_count;            /* > 0 */
	bool is_listen_default;           /* none is in the file */
	char tls_cert[CONFIG_PATH_BYTES]; /* "" = none; the same of the next two */
	char tls_key[CONFIG_PATH_BYTES];
	char tls_ca[CONFIG_PATH_BYTES];

	/* [metrics] */
	char metrics_listen[CONFIG_TEXT_BYTES]; /* "" = nobody is served */
};

enum config_purpose {
	CONFIG_FOR_CLIENT = 0, /* [cluster] and [node N] suffice */
	CONFIG_FOR_NODE = 1,   /* [local] is needed too */
};

/**
 * Read and check a configuration. Relative paths in it are relative to the file's folder.
 *
 * @param settings     [setting_count] "section.key=value", after the file; "node.2.ip=..." reaches
 *                     [node 2]. The first setting of a repeatable key replaces the file's list
 * @param ret_config   filled on success only
 * @param ret_error    [DECREE_ERROR_BYTES]
 * @retval -EINVAL     what the file says is wrong  @retval -errno it cannot be read
 */
int config_load(const char *path, const char *const *settings, uint32_t setting_count,
	enum config_purpose purpose, struct config *ret_config, char *ret_error);

/** The same from memory; @p path is for messages and relative paths only. */
int config_parse(const char *path, const char *text, size_t bytes, const char *const *settings,
	uint32_t setting_count, enum config_purpose purpose, struct config *ret_config,
	char *ret_error);

/** Nodes with which the cluster is, or was, set up. */
static inline uint32_t
config_founder_count(const struct config *c)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < c->node_count; i++)
		count += c->nodes[i].joins == CONFIG_JOINS_NO;
	return count;
}

/** @return NULL: no such node */
const struct config_node *config_find_node(const struct config *c, uint16_t node_id);

/** The shard that owns a group, the same on all nodes. */
static inline uint16_t
config_group_to_shard(const struct config *c, uint16_t group)
{
	return (uint16_t)(group % c->shard_count);
}

/**
 * Read a key file: 64 hexadecimal digits and perhaps a newline, readable by its owner only.
 * @retval -EPERM   others may read it  @retval -EBADMSG not a key  @retval -errno it cannot be read
 */
int config_key_read(const char *path, uint8_t ret_key[CONFIG_KEY_BYTES], char *ret_error);

/** Create a key file with fresh random bytes, mode 0600. @retval -EEXIST it is there already: kept */
int config_key_create(const char *path, char *ret_error);

#endif
