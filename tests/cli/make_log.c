/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log for the tests of `decree wal`: make_log DIR COUNT has records of slots 1 .. COUNT appended
 * to a formatted log, each with a value of 1,000 bytes, slot n accepted under ballot 3.1 with n - 1
 * decided before, what group 0 promised, and what it has heard of node 2. With --hold it keeps the log open, like a node that
 * runs, until its standard input ends.
 */
#include "engine/core/hearsay.h"
#include "engine/runtime/meta.h"
#include "wal/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_BYTES 1000

static void
die(const char *what)
{
	fprintf(stderr, "make_log: %s\n", what);
	exit(1);
}

/* Turns until the log has said this. */
static void
wait_for(struct wal *wal, uint64_t *now_ns, enum log_completion_kind kind, uint64_t lsn)
{
	struct log_completion done[8];

	for (;;) {
		uint32_t count;

		*now_ns += 2000000;
		wal_log_ops.submit(wal, *now_ns);
		count = wal_log_ops.reap(wal, *now_ns, done, 8);
		for (uint32_t i = 0; i < count; i++) {
			if (done[i].kind == LOG_FAILED)
				die("the log failed");
			if (done[i].kind == kind && done[i].lsn >= lsn)
				return;
		}
	}
}

static void
promise(struct wal *wal, uint64_t *now_ns)
{
	const struct eng_hard hard = { .promised = { 3 << 16 | 1 } };
	uint8_t meta[META_HEADER_BYTES + ENG_HARD_BYTES] = { 0 };

	meta_begin(meta, 1);
	meta_set_boot_count(meta, 7);
	eng_hard_encode(&hard, meta_hard(meta, 0));
	meta_set_has_hard(meta, 0);
	wait_for(wal, now_ns, LOG_META, wal_log_ops.meta(wal, meta, sizeof(meta)));
}

static void
hear(struct wal *wal)
{
	const struct eng_hearsay row = {
		.node_id = 2,
		.disk = 0xd2,
		.boot_count = 5,
		.promised = { 3 << 16 | 1 },
		.accepted = { 12 },
		.accepted_boot = 5,
		.accepted_before = { 9 },
	};
	uint8_t hearsay[META_HEADER_BYTES + ENG_HEARSAY_BYTES] = { 0 };

	hearsay_begin(hearsay, 1);
	eng_hearsay_encode(&row, hearsay_rows(hearsay, 0));
	wal_log_ops.hearsay(wal, hearsay, sizeof(hearsay));
}

static void
append(struct wal *wal, uint64_t *now_ns, uint64_t slot)
{
	uint8_t tag[LOG_TAG_BYTES], value[VALUE_BYTES];
	const struct eng_record record = {
		.kind = ENG_RECORD_ACCEPTED,
		.slot = { slot },
		.vballot = { 3 << 16 | 1 },
		.digest = { slot, 0xd1 },
		.commit = { slot - 1 },
		.bytes = VALUE_BYTES,
	};
	const struct log_record r = { .tag = tag, .payload = value, .payload_bytes = VALUE_BYTES };
	struct log_place place;

	eng_record_encode(&record, tag);
	memset(value, (int)('a' + slot % 26), sizeof(value));
	if (wal_log_ops.append(wal, &r, 1, &place) != 1)
		die("the log is full");
	wait_for(wal, now_ns, LOG_DURABLE, place.lsn);
}

int
main(int argc, char **argv)
{
	const struct wal_config cfg = { .mode = DECREE_LOG_DURABLE };
	char error[DECREE_ERROR_BYTES];
	uint64_t now_ns = 1;
	struct wal *wal;

	if (argc < 3)
		die("usage: make_log DIR COUNT [--hold]");
	if (wal_directory_open(argv[1], &cfg, 0, &wal, error) != 0)
		die(error);
	promise(wal, &now_ns);
	hear(wal);
	for (uint64_t slot = 1; slot <= strtoull(argv[2], NULL, 10); slot++)
		append(wal, &now_ns, slot);
	if (argc == 4) {
		char c;

		puts("open");
		(void)fflush(stdout);
		while (read(STDIN_FILENO, &c, 1) > 0)
			;
	}
	wal_close(wal);
	return 0;
}
