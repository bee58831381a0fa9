/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree force-recover: after a majority is lost for ever, a new cluster of one out of a node that
 * is left.
 *
 *   1. the old directory is read: everything up to the first gap is kept
 *   2. DATA_DIR.new gets the folders of a node: new cluster id, new disk, the records, the
 *      snapshots
 *   3. when all of it is on the disk, it is renamed to DATA_DIR: there is a whole one or none
 *
 * The lost cluster's frames, keys of sessions and disks do not fit the new id, so a node of it that
 * turns up again is refused by everybody, and its number is spent: others join under higher ones.
 *
 * What may fail: the old node runs, its directory is damaged, the new one is there already or too
 * small.
 */
#include "engine/runtime/salvage.h"

#include "engine/core/msg.h"
#include "engine/runtime/data_dir.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int
salvage_refuse(const struct salvage *s, int rc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->ret_error, DECREE_ERROR_BYTES, format, args);
	va_end(args);
	return rc;
}

void
salvage_rest(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL); /* cut short: looks sooner */
}

static void
formers_of(const struct eng_membership *old, struct eng_membership *ret)
{
	ret->former_count = old->former_count != 0 ? old->former_count : old->member_count;
	for (uint32_t i = 0; i < ret->former_count; i++)
		ret->former[i] = old->former_count != 0 ? old->former[i] : old->members[i].node_id;
}

void
salvage_membership(const struct salvage *s, const struct salvage_group *g,
	const struct eng_membership *old, struct eng_membership *ret)
{
	const struct config *c = &s->config;
	const struct config_node *self = config_find_node(c, c->node_id);

	*ret = (struct eng_membership){
		.epoch = old->epoch,
		.version = old->version,
		.q1 = 1,
		.q2 = 1,
		.slot_bytes = c->slot_bytes,
		.alpha = c->alpha,
		.command_bytes_max = c->command_bytes_max,
		.session_count = c->session_count,
		.session_window = c->session_window,
		.digest_slots = c->digest_slots,
		.session_idle_slots = c->session_idle_slots,
		.id_last = g->id_last > c->node_id ? g->id_last : c->node_id,
		.member_count = 1,
	};
	ret->members[0] = (struct eng_member){
		.node_id = c->node_id,
		.role = ENG_VOTER,
		.disk = eng_disk_short(&s->disk),
		.address = { .ipv4 = self->ipv4,
			.port = (uint16_t)c->base_port,
			.has_mac = self->has_mac },
	};
	memcpy(ret->members[0].address.mac, self->mac, sizeof(self->mac));
	formers_of(old, ret);
}

/* ------------------------------------------------------------------------------ looking */

int
salvage_check_config(const struct salvage *s)
{
	const struct config *c = &s->config;

	if (config_founder_count(c) != 1 ||
		config_find_node(c, c->node_id)->joins == CONFIG_JOINS_YES)
		return salvage_refuse(s, -EINVAL,
			"%.300s: node %u begins alone: every other [node N] needs 'joins = yes', "
			"and a number that the lost cluster never had",
			c->path, c->node_id);
	if (c->log_mode == DECREE_LOG_MEMORY)
		return salvage_refuse(s, -EINVAL,
			"%.300s: log_mode = memory would forget what is recovered", c->path);
	return 0;
}

static int
look(struct salvage *s)
{
	int rc = salvage_check_config(s);

	for (uint32_t i = 0; rc == 0 && i < s->config.group_count; i++)
		s->groups[i].found.group = (uint16_t)i;
	for (uint32_t i = 0; rc == 0 && i < s->config.shard_count; i++)
		rc = salvage_survey(s, i);
	if (rc == 0)
		rc = salvage_check_snapshots(s);
	if (rc != 0)
		return rc;
	s->rescue->cluster_id = s->old.cluster_id;
	s->rescue->group_count = s->config.group_count;
	for (uint32_t i = 0; i < s->config.group_count; i++)
		s->rescue->groups[i] = s->groups[i].found;
	return 0;
}

/* ------------------------------------------------------------------------------ making */

static int
make_building(struct salvage *s)
{
	const char *final = s->config.data_dir;

	if (snprintf(s->building, sizeof(s->building), "%s.new", final) >= (int)sizeof(s->building))
		return salvage_refuse(s, -ENAMETOOLONG, "%.300s: too long a path", final);
	if (access(final, F_OK) == 0)
		return salvage_refuse(s, -EEXIST,
			"%.300s exists already, and is not touched: name another data_dir for the "
			"new cluster, and keep the old one",
			final);
	if (mkdir(s->building, 0700) == 0)
		return 0;
	if (errno == EEXIST)
		return salvage_refuse(s, -EEXIST,
			"%.300s is what an attempt that was cut short left behind: remove it, and "
			"try again",
			s->building);
	return salvage_refuse(
		s, -errno, "%.300s: cannot be made: %s", s->building, strerror(errno));
}

static void
take_back(const struct salvage *s)
{
	char path[DATA_PATH_BYTES];

	for (uint32_t i = 0; i < s->config.shard_count; i++) {
		data_shard_path(s->building, i, path);
		data_dir_remove_folder(path);
	}
	salvage_forget_snapshots(s);
	data_snapshot_path(s->building, NULL, path);
	data_dir_remove_folder(path);
	(void)rmdir(s->building);
}

/* @param ret_is_placed  the new directory has its name: from here on it is a node's, even if the
 * name may not be durable */
static int
put_in_place(const struct salvage *s, bool *ret_is_placed)
{
	int rc = data_dir_sync(s->building);

	if (rc == 0 && rename(s->building, s->config.data_dir) != 0)
		rc = -errno;
	*ret_is_placed = rc == 0;
	return rc == 0 ? data_dir_sync_name(s->config.data_dir) : rc;
}

int
salvage_make(struct salvage *s)
{
	bool is_placed = false;
	int rc;

	if (getrandom(s->disk.bytes, sizeof(s->disk.bytes), 0) != sizeof(s->disk.bytes))
		return -EIO;
	rc = make_building(s);
	if (rc != 0)
		return rc;
	rc = salvage_copy_snapshots(s);
	for (uint32_t i = 0; rc == 0 && i < s->config.shard_count; i++)
		rc = salvage_copy_log(s, i);
	if (rc == 0)
		rc = put_in_place(s, &is_placed);
	if (rc != 0 && !is_placed)
		take_back(s);
	return rc;
}

DECREE_API
int
decree_force_recover(const char *config_path, const char *const *settings, uint32_t setting_count,
	struct decree_rescue *rescue, char ret_error[DECREE_ERROR_BYTES])
{
	struct salvage *s = calloc(1, sizeof(*s));
	int rc;

	ret_error[0] = '\0';
	if (s == NULL)
		return -ENOMEM;
	s->rescue = rescue;
	s->ret_error = ret_error;
	rc = config_load(
		config_path, settings, setting_count, CONFIG_FOR_NODE, &s->config, ret_error);
	if (rc == 0)
		rc = look(s);
	if (rc == 0 && !rescue->is_dry)
		rc = salvage_make(s);
	rescue->disk = eng_disk_short(&s->disk);
	if (rc != 0 && ret_error[0] == '\0')
		salvage_refuse(s, rc, "%.300s: %s", rescue->data_dir, strerror(-rc));
	for (uint32_t i = 0; i < DECREE_GROUP_COUNT_MAX; i++) {
		free(s->groups[i].held);
		free(s->groups[i].ballots);
	}
	free(s);
	return rc;
}
