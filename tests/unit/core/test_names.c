/* SPDX-License-Identifier: Apache-2.0 */
/* Every answer has a name or a text of its own: what an operator or a trace shows is never
 * ambiguous. */
#include "engine/core/core.h"
#include "engine/core/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *
halt_name(uint32_t value)
{
	return eng_halt_text((enum eng_halt)value);
}

static const char *
submit_name(uint32_t value)
{
	return eng_submit_status_name((enum eng_submit_status)value);
}

static const char *
transfer_name(uint32_t value)
{
	return eng_transfer_result_name((enum eng_transfer_result)value);
}

static const char *
member_name(uint32_t value)
{
	return eng_member_result_text((enum eng_member_result)value);
}

static const char *
failure_name(uint32_t value)
{
	return eng_failure_reason_name((enum eng_failure_reason)value);
}

static const char *
message_name(uint32_t value)
{
	return eng_msg_type_name((enum eng_msg_type)value);
}

/* Values [first, after) have names; others, say of a newer version, are "?". */
static const struct set {
	const char *name;
	const char *(*name_of)(uint32_t value);
	uint32_t first;
	uint32_t after;
} sets[] = {
	{ "halts", halt_name, ENG_HALT_NONE, ENG_HALT_VERSION + 1 },
	{ "answers to a command", submit_name, ENG_SUBMIT_OK, ENG_SUBMIT_EVICTED + 1 },
	{ "answers to a transfer", transfer_name, ENG_TRANSFER_OK, ENG_TRANSFER_BUSY + 1 },
	{ "answers to a change", member_name, ENG_MEMBER_OK, ENG_MEMBER_UNHEARD + 1 },
	{ "refusals", failure_name, ENG_FAIL_BALLOT, ENG_FAIL_TWIN + 1 },
	{ "messages", message_name, ENG_MSG_PREVOTE, ENG_MSG_HELLO_REPLY + 1 },
};
#define SET_COUNT (sizeof(sets) / sizeof(*sets))

static void
test_names_are_distinct(void **state)
{
	const struct set *set = *state;

	for (uint32_t a = set->first; a < set->after; a++) {
		assert_string_not_equal(set->name_of(a), "?");
		for (uint32_t b = set->first; b < a; b++)
			assert_string_not_equal(set->name_of(a), set->name_of(b));
	}
	assert_string_equal(set->name_of(set->after), "?");
	assert_string_equal(set->name_of(UINT32_MAX), "?");
}

int
main(void)
{
	struct CMUnitTest tests[SET_COUNT] = { { 0 } };

	for (uint32_t i = 0; i < SET_COUNT; i++)
		tests[i] = (struct CMUnitTest){
			.name = sets[i].name,
			.test_func = test_names_are_distinct,
			.initial_state = (void *)&sets[i],
		};
	return _cmocka_run_group_tests("names", tests, SET_COUNT, NULL, NULL);
}
