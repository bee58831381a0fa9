/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/session_table.h"

#include "base/digest.h"
#include "tests/lib/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int
table_setup(void **state)
{
	struct eng_config cfg = {
		.session_count = SESSIONS,
		.session_window = WINDOW,
		.session_idle_slots = IDLE,
		.command_bytes_max = 1000,
		.slot_bytes = SLOT_BYTES,
	};
	struct table *t = calloc(1, sizeof(*t));

	t->cfg = cfg;
	t->memory_bytes = eng_sessions_bytes(&cfg);
	t->memory = calloc(1, t->memory_bytes);
	t->s = eng_sessions_init(t->memory, &cfg);
	*state = t;
	return 0;
}

int
table_teardown(void **state)
{
	struct table *t = *state;

	free(t->memory);
	free(t);
	return 0;
}

void
table_apply_value(struct table *t, const uint8_t *value, uint32_t bytes)
{
	struct eng_applied runs[64];
	struct decree_command commands[64];
	uint64_t cluster_ns;
	uint32_t run_count = eng_sessions_apply(
		t->s, (struct decree_slot){ ++t->slot }, value, bytes, runs, commands, &cluster_ns);

	t->count = 0;
	for (uint32_t i = 0; i < run_count; i++)
		do
			t->applied[t->count++] = runs[i];
		while (applied_next(&runs[i]));
}

enum eng_verdict
table_apply(struct table *t, struct decree_session session, uint64_t seq, const void *body,
	uint32_t bytes)
{
	uint8_t value[SLOT_BYTES];
	struct eng_command c = { session, seq, body, bytes };
	uint32_t size = eng_value_batch(value, sizeof(value), &c, 1);

	assert_int_not_equal(size, 0);
	table_apply_value(t, value, size);
	assert_int_equal(t->count, 1);
	return t->applied[0].verdict;
}

struct decree_session
table_open(struct table *t, char name)
{
	uint8_t token[DECREE_UUID_BYTES];

	memset(token, name, sizeof(token));
	assert_int_equal(table_apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)),
		ENG_REGISTERED);
	return t->applied[0].session;
}

enum eng_verdict
table_lookup(const struct eng_sessions *s, struct decree_session session, uint64_t seq,
	uint16_t *ret_status, uint64_t *ret_result)
{
	return eng_session_lookup(
		s, session, seq, base_digest_short("body", 4), ret_status, ret_result);
}
