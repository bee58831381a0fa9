/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file setup.h
 * What an operator's tool needs beside the node itself: what a configuration says, and a formatted
 * data directory.
 *
 * Threads:  any.
 * Errors:   0 or -errno; `ret_error` gets one sentence that says what is wrong, where, and what to
 *           do.
 */
#ifndef DECREE_SETUP_H
#define DECREE_SETUP_H

#include "decree/node.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DECREE_PATH_BYTES       1024
#define DECREE_NAME_BYTES       200
#define DECREE_PORT_COUNT_MAX   8
#define DECREE_LISTEN_COUNT_MAX 8

/** The section [queue]: nothing to the engine, and all that a program needs whose machine is the
 * task queue. */
struct decree_queue_setup {
	uint64_t bytes; /* of its arena; equal on all nodes */
	uint32_t job_bytes_max;
	bool has_unquoted_yaml;
	uint32_t listen_count; /* > 0 */
	/* "ADDRESS:PORT", "tls:ADDRESS:PORT", "unix:PATH" */
	char listens[DECREE_LISTEN_COUNT_MAX][DECREE_NAME_BYTES];
	char tls_cert[DECREE_PATH_BYTES]; /* "": none; the same of the next two */
	char tls_key[DECREE_PATH_BYTES];
	char tls_ca[DECREE_PATH_BYTES];
};

/** A configuration, read and checked. */
struct decree_setup {
	uint64_t cluster_id;
	char name[DECREE_NAME_BYTES];
	bool auth; /* false: auth = none */
	uint16_t shard_count;
	uint16_t group_count;
	uint32_t command_bytes_max;
	uint32_t session_window;
	uint32_t node_count;
	uint16_t nodes[DECREE_NODE_COUNT_MAX]; /* ascending node_id */

	/* Of the local node; zeros if the configuration is a client's. */
	uint16_t node_id;
	char data_dir[DECREE_PATH_BYTES];
	enum decree_log_mode log_mode;
	uint64_t log_bytes; /* of each shard */
	enum decree_idle idle;
	bool are_hugepages_wanted;
	uint32_t cpu_count; /* 0: none named */
	uint16_t cpus[DECREE_SHARD_COUNT_MAX];
	uint32_t port_count;
	char ports[DECREE_PORT_COUNT_MAX][DECREE_NAME_BYTES]; /* devices, links included */
	bool are_metrics_served;                              /* [metrics] listen is there */
	struct decree_queue_setup queue;
};

/**
 * Read a configuration.
 * @param settings  [setting_count] "section.key=value", after the file
 * @param is_node   the [local] section is needed too
 */
DECREE_API
int decree_setup_read(const char *config_path, const char *const *settings, uint32_t setting_count,
	bool is_node, struct decree_setup *ret_setup, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Make the data directory of the configuration's local node: one empty log per shard. On failure
 * nothing is left behind.
 *
 * @param are_keys_new  create the key files that the configuration names, too
 * @param ret_disk      what names this disk when the node is added to a cluster that exists; or
 *                      NULL
 * @retval -EEXIST   a data directory, or with @p are_keys_new a key, is there already: nothing was
 *                   touched
 * Blocks: until everything is on the disk.
 */
DECREE_API
int decree_format(const char *config_path, const char *const *settings, uint32_t setting_count,
	bool are_keys_new, uint64_t *ret_disk, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Write once over all the space of the local node's logs, between decree_format() and the node's
 * first start. Without it a node does so while it runs, slowly, and one that is loaded from its
 * first second on waits for the file system until its log has gone around once.
 *
 * @param progress  about every 64 MiB, of all logs together; may be NULL
 * @retval -EALREADY  a node has been started on a log: nothing was touched
 * Blocks: as long as the disk takes for 9/8 of log_bytes, for each shard.
 */
DECREE_API
int decree_prewrite(const char *config_path, const char *const *settings, uint32_t setting_count,
	void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total), void *context,
	char ret_error[DECREE_ERROR_BYTES]);

/** What is left of one group on one disk, and how much of it a new cluster would begin with. */
struct decree_survivor {
	uint16_t group;
	struct decree_slot snapshot; /* everything up to here is in a snapshot; 0 = there is none */
	struct decree_slot last;     /* kept is everything up to here */
	/* up to here this node knew it to be decided; what is behind `last` it has lost */
	struct decree_slot decided;
	/* newest of a record that is kept; 0 = none is, behind the snapshot */
	struct decree_ballot ballot;
	/* slots that this node holds behind a gap or damaged record: not kept */
	uint64_t dropped_count;
	bool is_doubtful; /* records were lost before, and which ones was not known */
	bool is_unsynced; /* log mode `buffered`, and the machine was restarted: the end may be missing */
};

struct decree_rescue {
	const char *data_dir;     /* of the lost cluster's node */
	const char *snapshot_dir; /* its [snapshot] directory; NULL = snapshots in data_dir */
	bool is_dry;              /* look only: nothing is made */

	/* Filled in. */
	uint64_t cluster_id; /* of the lost cluster */
	uint64_t disk;       /* of the new directory, as decree_format() says it */
	uint32_t group_count;
	struct decree_survivor groups[DECREE_GROUP_COUNT_MAX];
};

/**
 * Make the data directory of a new cluster with one member, out of what one node of another cluster
 * holds: for when a majority of that one is lost for ever. What the lost nodes alone knew is lost,
 * and what this node had only accepted becomes decided, whether it was or not. That is no recovery
 * but a new beginning: hence the new id.
 *
 * The old directory is only read, and keeps its contents byte for byte. The node must not run.
 *
 * @param config_path  of the new cluster: another id, the same constants and node id, this node its
 *                     only founding member (all others have `joins = yes`), a data_dir that does
 *                     not exist
 * @param rescue       in and out
 * @retval -EEXIST   the new data directory is there already
 * @retval -EBADMSG  the old one is damaged beyond a torn tail, or holds nothing that could be kept
 * Blocks: until everything is on the disk. On failure nothing is left behind.
 */
DECREE_API
int decree_force_recover(const char *config_path, const char *const *settings,
	uint32_t setting_count, struct decree_rescue *rescue, char ret_error[DECREE_ERROR_BYTES]);

/** What a backup holds. */
struct decree_backup {
	uint64_t cluster_id; /* that it was taken of */
	uint16_t node_id;    /* that it was taken from */
	uint64_t taken_unix_s;
	uint64_t bytes;
	uint32_t group_count;
	/* the state of each group is that after this slot */
	struct decree_slot slots[DECREE_GROUP_COUNT_MAX];
	uint64_t disk; /* decree_restore(): of the new directory, as decree_format() says it */
	/* When each group's snapshot was finished, by the clock of the node; 0 = not known. What
	 * came later is not in it. */
	uint64_t snapshot_unix_s[DECREE_GROUP_COUNT_MAX];
};

/**
 * Write the newest snapshot of each group of the configuration's local node into one file, whether
 * the node runs or not. Each group's state is one that all nodes had after one slot; between groups
 * nothing is promised.
 *
 * @param file  must not exist
 * @retval -EEXIST   it does: it was not touched
 * @retval -ENOENT   a group has no snapshot yet
 * @retval -EBADMSG  a snapshot is damaged
 * Blocks: until everything is on the disk; reads at the rate of [snapshot] rate_mb. On failure
 * nothing is left behind.
 */
DECREE_API
int decree_backup(const char *config_path, const char *const *settings, uint32_t setting_count,
	const char *file, struct decree_backup *ret_backup, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Read a whole backup, and say what it holds.
 * @retval -EBADMSG  it is damaged, or none  @retval -EPROTONOSUPPORT  another version wrote it
 */
DECREE_API
int decree_backup_check(
	const char *file, struct decree_backup *ret_backup, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Make the data directory of a new cluster with one member out of a backup. What was acknowledged
 * after it was taken is not there.
 *
 * @param config_path  of the new cluster: another id, the same constants, this node its only
 *                     founding member (all others have `joins = yes`), a data_dir that does not
 *                     exist
 * @retval -EEXIST   the data directory is there already
 * @retval -EINVAL   the configuration does not fit the backup
 * @retval -EBADMSG  the backup is damaged, or none
 * @retval -EPROTONOSUPPORT  another version wrote it
 * Blocks: until everything is on the disk. On failure nothing is left behind.
 */
DECREE_API
int decree_restore(const char *config_path, const char *const *settings, uint32_t setting_count,
	const char *file, struct decree_backup *ret_backup, char ret_error[DECREE_ERROR_BYTES]);

/** What a node would make of a log. */
enum decree_log_verdict {
	DECREE_LOG_SOUND = 0,
	/* it would start; what it misses, if anything, it would get from the others */
	DECREE_LOG_DAMAGED = 1,
	DECREE_LOG_REFUSED = 2, /* it would not start */
};

/** What to show of a log, and how. */
struct decree_log_examination {
	const char *directory;    /* of one log: shard-0, say, of a data directory */
	bool is_verification;     /* read everything; show what is wrong, and a summary */
	bool is_json;             /* one object per line, instead of text */
	bool is_damage_only;      /* no blocks that are as they should be */
	bool are_values_wanted;   /* the application's data, in hexadecimal */
	uint64_t from_lsn;        /* of blocks: from this one on */
	uint64_t block_count_max; /* so many of them; 0 = all */
	struct decree_slot slot;  /* only those of this slot, in any group; 0 = all */
	void *context;
	/** One line, or several, without the last newline; lent for the call. */
	void (*line)(void *context, const char *text);
	/** About every 64 MiB; may be NULL. */
	void (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);

	/* Filled in. */
	enum decree_log_verdict verdict;
};

/**
 * Read a log while no node runs on it, and say what is there, what is damaged and why, and what a
 * node would make of it: the node's own recovery decides. Nothing is written and nothing is locked.
 *
 * @param x  in and out
 * @retval 0       looked at: see verdict
 * @retval -EBUSY  a node runs on it, or was started meanwhile: what was shown is void
 * @retval -errno  it could not be looked at
 * Blocks: as long as the disk takes to read it.
 */
DECREE_API
int decree_log_examine(struct decree_log_examination *x, char ret_error[DECREE_ERROR_BYTES]);

/** How good a finding of decree_preflight() is. */
enum decree_verdict {
	DECREE_FINDING_GOOD = 0,
	/* works, but slower or less safe than it could be; or nobody knows yet */
	DECREE_FINDING_NOTE = 1,
	DECREE_FINDING_FATAL = 2, /* the node cannot run like this */
};

struct decree_preflight {
	size_t struct_bytes; /* sizeof(struct decree_preflight) */
	const char *config_path;
	const char *const *settings; /* [setting_count] "section.key=value" */
	uint32_t setting_count;
	const char *root;    /* before the names of the kernel's files; NULL: "" */
	bool has_no_network; /* leave the ports alone */
	void *context;       /* given to: */
	/** One finding: what it is about, what was found, and the remedy, NULL if there is none. */
	void (*on_finding)(void *context, enum decree_verdict verdict, const char *subject,
		const char *text, const char *remedy);
};

/**
 * Look at what a node needs and only the library can judge, by the functions that its start uses:
 * key files, the clock for leases, addresses to listen on; and, while the node does not run,
 * whether each peer answers on the network, to frames of full size too. For that it brings the
 * ports up for a second or two; nothing is written, and no peer takes it for the node.
 *
 * @retval 0  looked at; how good it is the findings say
 * @retval -errno  the configuration cannot be read
 * Blocks: for 2 s, for 6 s if a node is there and does not answer. To be called once in a process:
 * it starts EAL, and ends it.
 */
DECREE_API
int decree_preflight(const struct decree_preflight *preflight, char ret_error[DECREE_ERROR_BYTES]);

/** The library's version, for example "0.1.0". */
DECREE_API
const char *decree_version(void);

#ifdef __cplusplus
}
#endif

#endif
