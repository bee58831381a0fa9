/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree restore: a new cluster of one, as of decree force-recover, out of the snapshots of a
 * backup and with an empty log. What came after the backup is not there, and nobody knows that it
 * was: hence the new id here, too.
 */
#include "engine/runtime/salvage.h"

#include "engine/core/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
check_origin(const struct salvage *s)
{
	const struct identity *found = &s->backup->header.identity;
	struct identity wanted = identity_of_config(&s->config, 0, &found->disk);
	const char *difference;

	if (found->cluster_id == s->config.cluster_id)
		return salvage_refuse(s, -EINVAL,
			"%.200s has the id of the cluster of the backup. What comes of this is "
			"another one, which must never be mistaken for it: set a new id (openssl "
			"rand -hex 8)",
			s->config.path);
	wanted.cluster_id = found->cluster_id;
	difference = identity_difference(found, &wanted);
	if (difference == NULL)
		return 0;
	return salvage_refuse(s, -EINVAL,
		"the cluster of the backup had another %s than %.150s says: it stays as it was",
		difference, s->config.path);
}

/* The survey of a backup, its snapshots included. */
static int
survey_backup(struct salvage *s)
{
	const struct backup_header *h = &s->backup->header;
	int rc = check_origin(s);

	if (rc != 0)
		return rc;
	s->old = h->identity;
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct salvage_group *g = &s->groups[i];
		struct decree_slot slot = { h->slots[i] };

		g->found = (struct decree_survivor){
			.group = (uint16_t)i,
			.snapshot = slot,
			.last = slot,
			.decided = slot,
		};
		g->hard.snapshot = slot;
	}
	return salvage_check_snapshots(s);
}

DECREE_API
int
decree_restore(const char *config_path, const char *const *settings, uint32_t setting_count,
	const char *file, struct decree_backup *ret_backup, char ret_error[DECREE_ERROR_BYTES])
{
	struct salvage *s = calloc(1, sizeof(*s));
	struct backup backup = { .fd = -1 };
	int rc;

	ret_error[0] = '\0';
	if (s == NULL)
		return -ENOMEM;
	s->ret_error = ret_error;
	s->backup = &backup;
	rc = config_load(
		config_path, settings, setting_count, CONFIG_FOR_NODE, &s->config, ret_error);
	if (rc == 0)
		rc = backup_open(&backup, file, ret_error);
	if (rc == 0)
		rc = salvage_check_config(s);
	if (rc == 0)
		rc = survey_backup(s);
	if (rc == 0)
		rc = salvage_make(s);
	if (rc == 0) {
		backup_describe(&backup.header, ret_backup);
		ret_backup->disk = eng_disk_short(&s->disk);
	}
	if (rc != 0 && ret_error[0] == '\0')
		salvage_refuse(s, rc, "%.300s: %s", file, strerror(-rc));
	backup_close(&backup);
	free(s);
	return rc;
}
