/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a data directory to shards that know what they promised:
 *
 *   1. each shard gets its memory, all of it, populated
 *   2. its log is opened; recovery hands over identity, hard states and records. Each hard state
 *      that names a snapshot has it verified and restored first; then the shard replays the
 *      records: the state machines are where they were
 *   3. the node's boot count is the highest found + 1; the loop makes it durable before the first
 *      frame
 *
 * What may fail: the directory is not formatted, is another node's, is in use, or holds damage that
 * may have been acknowledged. Nothing has been written then, and the error says what to do.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "base/version.h"
#include "engine/runtime/data_paths.h"
#include "engine/runtime/node_private.h"

#include "engine/core/record.h"
#include "wal/device.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define HUGE_BYTES (2ull << 20)

#define DAMAGED_LINE_COUNT 8
#define REFUSED_GROUP                                                                              \
	"a record belongs to a group that is not here: compare [cluster] groups and shards with "  \
	"those at format time"

/* Slots kept in memory: the protocol needs 2 x alpha; more saves reading the log for a peer that
 * was away for a moment. 8,192 slots of 1,328 bytes are 11 MiB. */
#define RING_SLOTS_MIN 8192

static uint32_t
ring_slots(const struct config *c)
{
	uint32_t slots = RING_SLOTS_MIN;

	while (slots < 2 * c->alpha)
		slots *= 2;
	return slots;
}

static uint32_t
frame_bytes(const struct config *c)
{
	return c->mtu - (CONFIG_SLOT_OVERHEAD_BYTES - ENG_VALUE_OVERHEAD_BYTES);
}

static int
check_limits(const struct config *c, char *ret_error)
{
	uint32_t per_fragment = eng_promise_entry_count_max(frame_bytes(c));
	uint32_t groups_per_shard = (c->group_count + c->shard_count - 1) / c->shard_count;

	if (ring_slots(c) / per_fragment >= 256) {
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.200s: alpha = %u is more than a promise can list in frames of mtu = %u: "
			"lower alpha to %u",
			c->path, c->alpha, c->mtu, 256 * per_fragment / 4);
		return -EINVAL;
	}
	if (groups_per_shard > SHARD_GROUP_COUNT_MAX) {
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.200s: %u groups on %u shards: one shard owns at most %u", c->path,
			c->group_count, c->shard_count, SHARD_GROUP_COUNT_MAX);
		return -EINVAL;
	}
	return 0;
}

static void
fill_group(const struct decree_node *node, uint16_t group, struct eng_config *e)
{
	const struct config *c = &node->config;

	*e = (struct eng_config){
		.cluster_id = c->cluster_id,
		.node_id = c->node_id,
		.group = group,
		.member_count = c->node_count,
		.q1 = c->q1,
		.q2 = c->q2,
		.nonce = node->nonce,
		.seed = node->nonce ^ (group * 0x9e3779b97f4a7c15ull),
		.slot_bytes = c->slot_bytes,
		.alpha = c->alpha,
		.window_slots = c->window_slots,
		.ring_slots = ring_slots(c),
		.frame_bytes = frame_bytes(c),
		.command_bytes_max = c->command_bytes_max,
		.session_count = c->session_count,
		.session_window = c->session_window,
		.session_idle_slots = c->session_idle_slots,
		.digest_slots = c->digest_slots,
		.heartbeat_ns = c->heartbeat_ns,
		.heartbeat_on_grid = true,
		.announce_ns = SHARD_ANNOUNCE_NS,
		.election_ns = c->election_ns,
		.disk_stall_ns = c->disk_stall_ns,
		.lease_ns = c->lease_ns,
		.max_drift_ppm = c->max_drift_ppm,
		.version_min = base_versions.min,
		.version_max = base_versions.max,
	};
	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct config_node *n = &c->nodes[i];
		bool joins = n->joins == CONFIG_JOINS_YES;

		e->members[i] = (struct eng_member){
			.node_id = n->node_id,
			.role = joins ? ENG_LEARNER : ENG_VOTER,
			.address = { .ipv4 = n->ipv4,
				.port = (uint16_t)c->base_port,
				.has_mac = n->has_mac },
		};
		memcpy(e->members[i].address.mac, n->mac, sizeof(n->mac));
		if (n->node_id == c->node_id)
			e->joins = joins;
	}
}

static uint64_t
shard_now_ns(void *context)
{
	(void)context; /* all shards of a node share its clock */
	return node_now_ns();
}

static void
fill_config(struct node_shard *ns)
{
	struct decree_node *node = ns->node;
	const struct config *c = &node->config;
	uint32_t count = 0;

	for (uint16_t group = 0; group < c->group_count; group++) {
		if (config_group_to_shard(c, group) != ns->index)
			continue;
		fill_group(node, group, &ns->groups[count]);
		ns->machines[count] = node->options.machines[group];
		count++;
	}
	ns->config = (struct shard_config){
		.net_ops = c->port_count > 0 ? &net_dpdk_ops : &local_ops,
		.frame_bytes = frame_bytes(c),
		.log_ops = &wal_log_ops,
		.log_bytes = c->log_bytes,
		.groups = ns->groups,
		.group_count = count,
		.machine_ops = &node->machine_ops,
		.machines = ns->machines,
		.snap_ops = ns->snaps != NULL ? &snap_file_ops : NULL,
		.snap_store = ns->snaps,
		.snapshot_slots = c->snapshot_interval_slots,
		.gateway_window = c->session_window,
		.refuses_admin = c->admin == CONFIG_ADMIN_NO,
		.context = ns,
		.now_ns = shard_now_ns,
		.on_note = lines_push,
		.fill_status = control_fill_status,
		.stages = &ns->stages,
		.stamp_ns = clock_stamp_ns,
		.fill_metrics = metrics_fill,
		.on_node_request = capture_on_request,
	};
}

/* Callbacks of the embedding program know nothing of shards. */
static void
pass_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	struct node_shard *ns = context;

	ns->node->options.on_applied(ns->node->options.context, group, first, after);
}

static void
pass_role(void *context, uint16_t group, enum decree_role role, uint16_t leader,
	struct decree_ballot ballot)
{
	struct node_shard *ns = context;

	ns->node->options.on_role(ns->node->options.context, group, role, leader, ballot);
}

/* Huge pages if the kernel has some at hand, ordinary ones if not; every page is touched now. */
static void *
memory_take(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	if (bytes >= HUGE_BYTES)
		(void)madvise(at, bytes, MADV_HUGEPAGE); /* a wish: without it, small pages */
	if (madvise(at, bytes, MADV_POPULATE_WRITE) != 0)
		memset(at, 0, bytes); /* older kernels */
	return at;
}

static int
shard_create(struct node_shard *ns, char *ret_error)
{
	struct decree_node *node = ns->node;

	fill_config(ns);
	if (node->options.on_applied != NULL)
		ns->config.on_applied = pass_applied;
	if (node->options.on_role != NULL)
		ns->config.on_role = pass_role;
	for (uint32_t i = 0; i < ns->config.group_count; i++)
		ns->groups[i].disk = node->disk;
	ns->memory_bytes = shard_bytes(&ns->config);
	ns->memory = memory_take(ns->memory_bytes);
	if (ns->memory == NULL) {
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"no memory for shard %u: it needs %zu MiB. Lower session_count or "
			"log_bytes",
			ns->index, ns->memory_bytes >> 20);
		return -ENOMEM;
	}
	ns->boards = base_zeros(ns->config.group_count, sizeof(*ns->boards));
	if (ns->boards == NULL) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "out of memory");
		return -ENOMEM;
	}
	ns->shard = shard_init(ns->memory, &ns->config);
	return 0;
}

/* -------------------------------------------------------------------------- the log's callbacks */

/* The first callback of an open: the disk uuid is known only now, and the core must know it too. */
static int
on_identity(void *context, const struct decree_uuid *uuid, const void *blob, uint32_t bytes,
	char *ret_error)
{
	struct node_shard *ns = context;
	struct decree_node *node = ns->node;
	struct identity found;
	char what[DATA_PATH_BYTES];
	int rc;

	(void)uuid;
	data_shard_path(node->config.data_dir, ns->index, what);
	if (identity_decode(blob, bytes, &found) != 0) {
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.200s: this log was not made by 'decree format' of this version", what);
		return -EBADMSG;
	}
	rc = identity_check(&found, &node->config, ns->index, what, ret_error);
	if (rc != 0)
		return rc;
	if (ns->index == 0) {
		node->disk = found.disk;
		rc = snap_thread_open(node, ret_error); /* its files are this node's only now */
		if (rc != 0)
			return rc;
	} else if (memcmp(&node->disk, &found.disk, sizeof(found.disk)) != 0) {
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.200s and shard-0 beside it were not formatted together: the directories "
			"of two nodes were mixed up. Put the right one back",
			what);
		return -EXDEV;
	}
	return shard_create(ns, ret_error);
}

static int
on_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct node_shard *ns = context;

	if (generation == 0)
		return 0; /* the first start */
	int rc = shard_recover_meta(ns->shard, blob, bytes, &ns->found_boot_count);
	if (rc != 0)
		ns->refusal =
			"the hard state was written by another version, or with another number of "
			"groups: compare [cluster] groups and shards with those at format time";
	return rc;
}

static void
on_hearsay(void *context, const void *blob, uint32_t bytes)
{
	struct node_shard *ns = context;

	if (shard_recover_hearsay(ns->shard, blob, bytes) != 0)
		node_log(ns->node, NOTE_LOG_DAMAGED,
			"shard %u: what this node kept of the other nodes' words is damaged, and "
			"forgotten: until it has heard them again it does not notice if one of "
			"them was put back on an older disk",
			ns->index);
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t payload_bytes)
{
	struct node_shard *ns = context;
	char text[DECREE_ERROR_BYTES];

	if (shard_recover_record(ns->shard, tag, payload, payload_bytes, *place) != 0) {
		ns->refusal = REFUSED_GROUP;
		return -EBADMSG;
	}
	return shard_stop_reason(ns->shard, text) == SHARD_RUNS ? 0 : -EBADMSG;
}

/* A few of each kind one by one, the rest as a number: whole segments may be gone. */
static void
log_damaged(struct node_shard *ns, const struct log_place *place, const uint8_t *tag)
{
	struct eng_record record;

	if (tag == NULL) {
		if (++ns->nameless_count <= DAMAGED_LINE_COUNT)
			node_log(ns->node, NOTE_LOG_DAMAGED,
				"shard %u: log records up to %llu are damaged, and nothing says "
				"which slots they held: this node votes on no leader until it has "
				"caught up with the others",
				ns->index, (unsigned long long)place->lsn);
		return;
	}
	if (++ns->damaged_count <= DAMAGED_LINE_COUNT && eng_record_decode(tag, &record) == 0)
		node_log(ns->node, NOTE_LOG_DAMAGED,
			"shard %u: log record %llu is damaged (group %u, slot %llu): it is fetched "
			"from the other nodes",
			ns->index, (unsigned long long)place->lsn, record.group,
			(unsigned long long)record.slot.n);
}

static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	struct node_shard *ns = context;
	struct decree_slot any = { 0 };

	log_damaged(ns, place, tag);
	if ((tag == NULL ? shard_recover_unknown(ns->shard, 0, any, any, *place)
			 : shard_recover_damaged(ns->shard, tag, *place)) != 0) {
		ns->refusal = REFUSED_GROUP;
		return -EBADMSG;
	}
	return 0;
}

static void
on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
	struct node_shard *ns = context;

	if (bytes_done > 256ull << 20)
		node_log(ns->node, NOTE_PROGRESS, "shard %u: read %llu of %llu MiB of its log",
			ns->index, (unsigned long long)(bytes_done >> 20),
			(unsigned long long)(bytes_total >> 20));
}

/* Whoever changes the file of a formatted node hears that it would have no effect. In mode `memory`
 * there is no size on a disk. */
static int
check_size(const struct node_shard *ns, const char *path, char *ret_error)
{
	const struct config *c = &ns->node->config;
	struct wal_status log;

	wal_status(ns->wal, &log);
	if (c->log_mode == DECREE_LOG_MEMORY ||
		(log.log_bytes == c->log_bytes && log.segment_bytes == c->segment_bytes))
		return 0;
	snprintf(ret_error, DECREE_ERROR_BYTES,
		"%.150s was formatted with log_bytes = %lluM and segment_bytes = %lluM, but %.100s "
		"says %lluM and %lluM: put these back; another size takes another node",
		path, (unsigned long long)(log.log_bytes >> 20),
		(unsigned long long)(log.segment_bytes >> 20), c->path,
		(unsigned long long)(c->log_bytes >> 20),
		(unsigned long long)(c->segment_bytes >> 20));
	return -EINVAL;
}

static int
open_log(struct node_shard *ns, char *ret_error)
{
	struct wal_config cfg = {
		.mode = ns->node->config.log_mode,
		.scrub_bytes_per_second =
			ns->node->config.scrub_rate_mb * 1000000ull / ns->node->shard_count,
		.recovery = {
			.context = ns,
			.identity = on_identity,
			.meta = on_meta,
			.hearsay = on_hearsay,
			.record = on_record,
			.damaged = on_damaged,
			.progress = on_progress,
		},
	};
	char path[DATA_PATH_BYTES];
	int rc;

	data_shard_path(ns->node->config.data_dir, ns->index, path);
	rc = wal_directory_open(path, &cfg, 0, &ns->wal, ret_error);
	if (ns->damaged_count > DAMAGED_LINE_COUNT)
		node_log(ns->node, NOTE_LOG_DAMAGED,
			"shard %u: %u damaged places in its log, the first %u of which are named "
			"above",
			ns->index, ns->damaged_count, DAMAGED_LINE_COUNT);
	if (rc != 0 && ns->shard != NULL) {
		char text[DECREE_ERROR_BYTES];

		if (shard_stop_reason(ns->shard, text) != SHARD_RUNS)
			snprintf(ret_error, DECREE_ERROR_BYTES, "%.100s: %.400s", path, text);
		else if (ns->refusal != NULL)
			snprintf(ret_error, DECREE_ERROR_BYTES, "%.200s: %s", path, ns->refusal);
	}
	return rc == 0 ? check_size(ns, path, ret_error) : rc;
}

/* Once: the shards' folders are parts of one. */
static void
log_device(struct decree_node *node)
{
	char sentence[WAL_DEVICE_SENTENCE_BYTES];
	struct wal_device device;

	if (node->config.log_mode != DECREE_LOG_DURABLE ||
		wal_device_of(node->config.data_dir, &device) != 0)
		return; /* it matters to nobody, or the open says what is wrong */
	wal_device_sentence(&device, sentence);
	node_log(node, NOTE_DISK, "log on %s", sentence);
}

int
recover_shards(struct decree_node *node, char *ret_error)
{
	int rc = check_limits(&node->config, ret_error);

	if (rc != 0)
		return rc;
	if (getrandom(&node->nonce, sizeof(node->nonce), 0) != sizeof(node->nonce)) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "no random numbers: %s", strerror(errno));
		return -EIO;
	}
	for (uint32_t i = 0; i < node->shard_count; i++) {
		struct node_shard *ns = &node->shards[i];

		rc = open_log(ns, ret_error);
		if (rc != 0)
			return rc;
		if (node->boot_count < ns->found_boot_count)
			node->boot_count = ns->found_boot_count;
	}
	log_device(node);
	FAILPOINT("runtime.start.shards_recovered");
	node->boot_count++;
	return 0;
}

void
recover_undo(struct decree_node *node)
{
	for (uint32_t i = 0; node->shards != NULL && i < node->shard_count; i++) {
		struct node_shard *ns = &node->shards[i];

		wal_close(ns->wal);
		if (ns->memory != NULL)
			munmap(ns->memory, ns->memory_bytes);
		ns->wal = NULL;
		ns->memory = NULL;
		ns->shard = NULL;
	}
}
