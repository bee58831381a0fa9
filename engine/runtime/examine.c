/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree_log_examine(): the log is opened for reading only, by the code that opens it for a node,
 * which tells what it meets (wal/explain.h). Here that is counted, and summed up as what a node
 * would make of it.
 */
#include "engine/runtime/examine.h"
#include "wal/directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void
examine_refuse(struct examine *e, const char *why)
{
	if (e->refusal[0] == '\0')
		(void)snprintf(e->refusal, sizeof(e->refusal), "%s", why);
}

void
examine_say(struct examine *e)
{
	e->x->line(e->x->context, line_end(&e->line));
}

static void
on_rest(void *context, const struct wal_rest_view *rest)
{
	struct examine *e = context;

	e->counts.rest = *rest;
}

static void
on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
	const struct examine *e = context;

	if (e->x->progress != NULL)
		e->x->progress(e->x->context, bytes_done, bytes_total);
}

/* Without it recovery would refuse the first damaged record. examine_damage() has said everything. */
static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	(void)context;
	(void)place;
	(void)tag;
	return 0;
}

/* ------------------------------------------------------------------------------ the sum */

static bool
is_damaged(const struct examine_counts *c)
{
	return c->named_count != 0 || c->nameless_count != 0 || c->copies_bad != 0 ||
	       c->identifiers[WAL_IDENTIFIER_BAD] != 0 ||
	       c->identifiers[WAL_IDENTIFIER_CONTRADICTS] != 0 || c->rest.identifiers_bad != 0 ||
	       c->rest.identifiers_later != 0 || c->rest.sectors_later != 0;
}

static const char *
verdict_text(const struct examine *e)
{
	const struct examine_counts *c = &e->counts;

	if (e->x->verdict == DECREE_LOG_REFUSED)
		return e->refusal;
	if (e->x->verdict == DECREE_LOG_SOUND)
		return "a node would start with this log and find every record in it";
	if (c->rest.sectors_later != 0 || c->rest.identifiers_later != 0)
		return "there are traces of records behind the end of the log, which a start would "
		       "not see: the end was overwritten or lost. Replace this node by one with a "
		       "new node id";
	if (c->named_count == 0 && c->nameless_count == 0)
		return "every record is intact, but the disk has returned other bytes than were "
		       "written: look at its health report";
	return "a node would start with this log and get what is damaged from the others; look at "
	       "the disk's health report";
}

static void
say_blocks(struct examine *e)
{
	const struct examine_counts *c = &e->counts;
	struct examine_line *l = &e->line;

	line_begin(l, e->x->is_json, "records");
	line_number(l, "intact", c->block_count - c->boot_count);
	line_number(l, "first_lsn", c->first_lsn);
	line_number(l, "last_lsn", c->last_lsn);
	line_number(l, "value_bytes", c->value_bytes);
	line_number(l, "boot_records", c->boot_count);
	line_number(l, "damaged", c->named_count);
	line_number(l, "damaged_places_without_a_name", c->nameless_count);
	examine_say(e);
}

static void
say_identifiers(struct examine *e)
{
	const struct examine_counts *c = &e->counts;
	struct examine_line *l = &e->line;

	line_begin(l, e->x->is_json, "identifiers");
	line_number(l, "matching", c->identifiers[WAL_IDENTIFIER_MATCHES]);
	line_number(l, "bad", c->identifiers[WAL_IDENTIFIER_BAD] + c->rest.identifiers_bad);
	line_number(l, "contradicting",
		c->identifiers[WAL_IDENTIFIER_CONTRADICTS] + c->rest.identifiers_later);
	line_number(l, "missing", c->identifiers[WAL_IDENTIFIER_MISSING]);
	line_number(l, "not_written_yet", c->identifiers_unwritten);
	examine_say(e);
}

static void
say_rest(struct examine *e)
{
	const struct examine_counts *c = &e->counts;
	struct examine_line *l = &e->line;

	line_begin(l, e->x->is_json, "pages");
	line_number(l, "bad_copies", c->copies_bad);
	examine_say(e);
	line_begin(l, e->x->is_json, "tail");
	line_number(l, "torn_bytes", c->end.torn_bytes);
	examine_say(e);
	line_begin(l, e->x->is_json, "free");
	line_number(l, "bytes", c->rest.free_bytes);
	line_number(l, "rotten_sectors", c->rest.sectors_rotten);
	if (c->rest.sectors_rotten != 0) {
		line_number(l, "first_at_byte", c->rest.rotten_offset_bytes);
		line_below(l, "nothing is lost: they are written before they are ever read");
	}
	line_number(l, "sectors_of_later_records", c->rest.sectors_later);
	if (c->rest.sectors_later != 0)
		line_number(l, "first_later_at_byte", c->rest.later_offset_bytes);
	examine_say(e);
}

static void
say_sum(struct examine *e)
{
	static const char *const words[] = { "sound", "damaged", "refused" };
	struct examine_line *l = &e->line;

	if (e->x->is_verification && e->counts.rest.free_bytes != 0) {
		say_blocks(e);
		say_identifiers(e);
		say_rest(e);
	}
	if (!e->x->is_verification && e->x->verdict == DECREE_LOG_SOUND)
		return;
	line_begin(l, e->x->is_json, "verdict");
	line_word(l, "is", words[e->x->verdict]);
	if (e->x->is_json)
		line_word(l, "text", verdict_text(e));
	if (e->x->verdict == DECREE_LOG_REFUSED)
		line_below(l, "no node would start with this log:");
	line_below(l, "%s", verdict_text(e));
	examine_say(e);
}

/* ------------------------------------------------------------------------------ the whole */

static bool
is_ours_to_fail(int rc)
{
	return rc == -EBUSY || rc == -EACCES || rc == -EPERM || rc == -ENOMEM || rc == -ENOSYS;
}

static int
look(struct examine *e, char *ret_error)
{
	struct wal_explainer explainer = {
		.context = e,
		.page = examine_page,
		.log = examine_log,
		.block = examine_block,
		.damage = examine_damage,
		.end = examine_end,
		.rest = e->x->is_verification ? on_rest : NULL,
	};
	const struct wal_config cfg = {
		.recovery = {
			.context = e,
			.identity = examine_identity,
			.meta = examine_meta,
			.hearsay = examine_hearsay,
			.damaged = on_damaged,
			.explain = &explainer,
			.progress = on_progress,
		},
	};
	int rc = wal_directory_examine(e->x->directory, &cfg, ret_error);

	if (is_ours_to_fail(rc))
		return rc;
	if (rc != 0)
		(void)snprintf(e->refusal, sizeof(e->refusal), "%s", ret_error);
	e->x->verdict = e->refusal[0] != '\0'    ? DECREE_LOG_REFUSED
			: is_damaged(&e->counts) ? DECREE_LOG_DAMAGED
						 : DECREE_LOG_SOUND;
	say_sum(e);
	return 0;
}

/* @return whether that is a folder; if not, after a word about it */
static bool
is_folder(const char *path, char *ret_error)
{
	struct stat st;

	if (stat(path, &st) != 0)
		(void)snprintf(ret_error, DECREE_ERROR_BYTES, "%.300s: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		(void)snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.300s is not a directory: name the folder of one log, DATA_DIR/shard-0 "
			"say",
			path);
	else
		return true;
	return false;
}

int
decree_log_examine(struct decree_log_examination *x, char ret_error[DECREE_ERROR_BYTES])
{
	struct examine *e;
	int rc;

	if (!is_folder(x->directory, ret_error))
		return -ENOENT;
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		(void)snprintf(ret_error, DECREE_ERROR_BYTES, "no memory");
		return -ENOMEM;
	}
	e->x = x;
	rc = look(e, ret_error);
	free(e);
	return rc;
}
