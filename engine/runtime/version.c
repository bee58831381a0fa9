/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the cluster, as this node's disk and network follow it (protocol 16).
 *
 * It is in the configurations of the log. As soon as one that raises it is decided, there is no way back, so
 *   - the log's pages are of that version, and a program that does not know it refuses the
 *     directory by name
 *   - nodes that do not speak it are refused a session, before they could ask for anything
 * A node that learns of the raise later does so later. Until then it is held to be of a version
 * that the others have left, and does no harm: what it must not take part in is in the log, and the
 * core stops there.
 */
#include "base/version.h"
#include "engine/core/configs.h"
#include "engine/runtime/shard_private.h"

uint32_t
version_of_group(const struct shard_group *g)
{
	const struct eng_configs *c = eng_known_configs(g->replica);

	return c->next.m.epoch != 0 ? c->next.m.version : c->now.m.version;
}

bool
version_follow(struct shard *s, const struct shard_group *g)
{
	uint32_t version = version_of_group(g);

	if (version <= s->version)
		return false;
	s->version = version;
	s->config.log_ops->raise(s->log, version);
	if (s->config.net_ops->require != NULL)
		s->config.net_ops->require(s->net, (uint8_t)version);
	return true;
}

void
version_changed(struct shard *s, const struct shard_group *g)
{
	if ((!s->has_started && !s->is_booting) || !version_follow(s, g))
		return; /* shard_start() follows what recovery found */
	meta_write_again(s);
	shard_note(s, g, NOTE_VERSION,
		"group %u: the cluster is of version %u from now on; programs that do not speak it "
		"cannot take part any more, nor read what is written here",
		g->config.group, s->version);
}

void
version_halt(struct shard *s, const struct shard_group *g)
{
	shard_stop(s, SHARD_STOPPED_HALT,
		"group %u: the cluster is of version %u, and this program speaks versions %u to "
		"%u: install the one that the other nodes run",
		g->config.group, version_of_group(g), base_versions.min, base_versions.max);
}
