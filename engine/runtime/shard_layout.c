/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a shard: one piece, asked for once, carved up here.
 */
#include "engine/runtime/meta.h"
#include "engine/runtime/shard_private.h"

static size_t
align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

struct carve {
	uint8_t *at; /* NULL: only counting */
	size_t bytes;
};

static void *
carve(struct carve *c, size_t bytes)
{
	void *ret = c->at == NULL ? NULL : c->at + c->bytes;

	c->bytes += align64(bytes);
	return ret;
}

static uint32_t
page_count(const struct shard_config *config)
{
	return index_page_count(config->log_bytes, config->group_count);
}

static uint32_t
directory_count(const struct shard_config *config)
{
	return index_directory_count(page_count(config));
}

static uint32_t
assembly_count(const struct shard_config *config)
{
	return config->assembly_count == 0 ? 8 : config->assembly_count;
}

/* Constants of the cluster, hence the same in every group. */
static uint32_t
command_bytes_max(const struct shard_config *config)
{
	return config->groups[0].command_bytes_max;
}

static void
group_layout(struct carve *c, const struct shard_config *config, uint32_t i, struct shard_group *g)
{
	const struct eng_config *eng = &config->groups[i];

	void *replica = carve(c, eng_replica_bytes(eng));
	void *sessions = carve(c, eng_sessions_bytes(eng));
	uint64_t *marks = carve(c, PERSIST_RING_COUNT * sizeof(*marks));
	uint32_t *directory = carve(c, directory_count(config) * sizeof(*directory));
	struct owner *owners = carve(c, eng->session_count * sizeof(*owners));
	uint64_t *skips = carve(c, SKIP_COUNT_MAX * sizeof(*skips));
	struct query *queries = carve(c, QUERY_COUNT * sizeof(*queries));
	uint8_t *piece = carve(c, config->snap_ops == NULL ? 0 : SNAPSHOT_PIECE_BYTES);
	if (g == NULL)
		return;
	g->config = *eng;
	g->local = i;
	g->machine = config->machines == NULL ? NULL : config->machines[i];
	g->sessions = eng_sessions_init(sessions, eng);
	g->replica = eng_replica_init(replica, eng, g->sessions);
	g->persists.marks = marks;
	g->index.directory = directory;
	g->index.mask = directory_count(config) - 1;
	g->owners = owners;
	g->skips = skips;
	g->queries.ring = queries;
	g->snap.cut.piece = piece;
	g->is_dirty = true;
	g->deadline_ns = UINT64_MAX;
}

/* Once to count with @p s NULL, once for real: the two can never disagree. */
static void
layout(struct carve *c, const struct shard_config *config, struct shard *s)
{
	uint32_t per_slot = eng_commands_per_slot_max(&config->groups[0]);
	struct shard_group *groups = carve(c, config->group_count * sizeof(*groups));
	uint8_t *meta = carve(c, shard_meta_bytes(config->group_count));
	uint8_t *hearsay = carve(c, hearsay_bytes(config->group_count));
	struct eng_applied *applied = carve(c, per_slot * sizeof(*applied));
	struct decree_command *commands = carve(c, per_slot * sizeof(*commands));
	struct decree_answer *answers = carve(c, per_slot * sizeof(*answers));
	uint8_t *snap_buffer = carve(c, config->snap_ops == NULL ? 0 : DECREE_CHUNK_BYTES_MAX);
	struct assembly *assemblies = carve(c, assembly_count(config) * sizeof(*assemblies));
	struct index_page *pages = carve(c, page_count(config) * sizeof(*pages));
	bool *is_used = carve(c, page_count(config) * sizeof(*is_used));

	if (s != NULL) {
		s->groups = groups;
		s->meta = meta;
		s->hearsay = hearsay;
		s->applied = applied;
		s->commands = commands;
		s->answers = answers;
		s->snap_buffer = snap_buffer;
		s->assemblies = assemblies;
		s->index_pool = (struct index_pool){
			.pages = pages, .is_used = is_used, .count = page_count(config)
		};
	}
	for (uint32_t i = 0; i < assembly_count(config); i++) {
		uint8_t *bytes = carve(c, command_bytes_max(config));
		if (s != NULL)
			assemblies[i].bytes = bytes;
	}
	for (uint32_t i = 0; i < SHARD_GATEWAY_COUNT_MAX; i++) {
		struct eng_body *window = carve(c, config->gateway_window * sizeof(*window));
		uint64_t *open = carve(c, (config->gateway_window / 64 + 1) * sizeof(*open));
		if (s != NULL) {
			s->gateways[i].window = window;
			s->gateways[i].open = open;
		}
	}
	for (uint32_t j = 0; j < LOG_JOB_COUNT_MAX; j++)
		for (uint32_t k = 0; k < LOG_JOB_SLOTS_MAX; k++) {
			struct decree_log_entry *entries =
				carve(c, LOG_JOB_ENTRIES_MAX * sizeof(*entries));
			if (s != NULL)
				s->jobs[j].entries[k] = entries;
		}
	for (uint32_t i = 0; i < config->group_count; i++)
		group_layout(c, config, i, s == NULL ? NULL : &groups[i]);
}

size_t
shard_bytes(const struct shard_config *config)
{
	struct carve c = { .at = NULL };

	(void)carve(&c, sizeof(struct shard));
	layout(&c, config, NULL);
	return c.bytes;
}

struct shard *
shard_init(void *memory, const struct shard_config *config)
{
	struct carve c = { .at = memory };
	struct shard *s = carve(&c, sizeof(*s));

	decree_assert(((uintptr_t)memory & 63) == 0);
	decree_assert(config->group_count >= 1 && config->group_count <= SHARD_GROUP_COUNT_MAX);
	decree_assert((config->gateway_window & (config->gateway_window - 1)) == 0);
	decree_assert(config->gateway_window >= 1);
	decree_assert(config->gateway_window <= config->groups[0].session_window);
	decree_assert(
		config->frame_bytes >= config->groups[0].slot_bytes + ENG_VALUE_OVERHEAD_BYTES);

	s->config = *config;
	s->config.assembly_count = assembly_count(config);
	s->node_id = config->groups[0].node_id;
	layout(&c, config, s);
	s->config.groups = NULL; /* each group has its copy */
	s->config.machines = NULL;
	for (uint32_t i = 0; i < DECREE_GROUP_COUNT_MAX; i++)
		s->group_local[i] = -1;
	for (uint32_t i = 0; i < config->group_count; i++) {
		decree_assert(s->groups[i].config.group < DECREE_GROUP_COUNT_MAX);
		decree_assert(s->group_local[s->groups[i].config.group] < 0);
		s->group_local[s->groups[i].config.group] = (int16_t)i;
		s->has_leases |= config->groups[i].lease_ns != 0;
	}
	if (config->net_ops->tick == NULL) /* a network without upkeep */
		s->net_tick_at_ns = UINT64_MAX;
	meta_init(s);
	return s;
}
