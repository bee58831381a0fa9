/* SPDX-License-Identifier: Apache-2.0 */
/* The queue keeps what include/decree/machine.h asks of every state machine. */
#include "tests/lib/machine_contract.h"

#include "queue/command.h"
#include "queue/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *
create(void)
{
	struct queue_config config = { .queue_bytes = 16u << 20 };
	struct queue_machine *m = NULL;

	assert_int_equal(queue_machine_create(&config, &m), 0);
	return m;
}

static void
destroy(void *machine)
{
	queue_machine_destroy(machine);
}

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x94d049bb133111ebull;
	return x ^ x >> 29;
}

/* First a gateway and connections, then mostly puts of all sizes, and something of everything about
 * jobs from all over the place. */
static void
choose(uint64_t number, struct queue_command *c)
{
	static const char names[] = "abcdefgh";
	static const enum queue_op ops[] = { QUEUE_RESERVE_TIMEOUT, QUEUE_RESERVE_TIMEOUT,
		QUEUE_RESERVE_JOB, QUEUE_DELETE, QUEUE_RELEASE, QUEUE_BURY, QUEUE_TOUCH,
		QUEUE_KICK_JOB, QUEUE_KICK, QUEUE_OPEN, QUEUE_CLOSE, QUEUE_CANCEL };
	static const enum queue_op named[] = { QUEUE_USE, QUEUE_WATCH, QUEUE_IGNORE,
		QUEUE_PAUSE_TUBE };
	static uint8_t body[3000];
	uint64_t x = mix(number * 0x9e3779b97f4a7c15ull);

	c->connection = x % 7;
	c->id = mix(x) % (number + 1);
	c->pri = (uint32_t)(x >> 8) % 2000;
	c->seconds = (uint32_t)(x >> 20) % 3;
	if (number == 0) {
		c->op = QUEUE_ATTACH;
		c->connection = 0;
		c->id = 1;
	} else if (number < 8) {
		c->op = QUEUE_OPEN;
		c->connection = number - 1;
	} else if (x >> 40 & 1) {
		c->op = QUEUE_PUT;
		c->tail = memset(body, (int)x, sizeof(body));
		c->tail_bytes = (uint32_t)(x >> 32) % (x >> 45 & 7 ? 150 : sizeof(body));
	} else if ((x >> 41 & 7) == 0) {
		c->op = named[x >> 50 & 3];
		c->tail = &names[x >> 53 & 7];
		c->tail_bytes = 1;
	} else {
		c->op = ops[(x >> 44) % (sizeof(ops) / sizeof(ops[0]))];
		c->bound = 3;
	}
}

static uint32_t
command(uint64_t number, uint8_t *ret_body)
{
	struct queue_command c = { 0 };

	choose(number, &c);
	return (uint32_t)queue_command_encode(&c, ret_body, MACHINE_CONTRACT_BODY_BYTES);
}

static const struct machine_contract contract = {
	.ops = &queue_machine_ops,
	.create = create,
	.destroy = destroy,
	.command = command,
	.count = 6000,
	.commands_per_chunk = 300,
};

static void
test_the_queue_keeps_it(void **state)
{
	const char *broken = machine_contract_check(&contract);

	(void)state;
	if (broken != NULL)
		fail_msg("%s", broken);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_the_queue_keeps_it) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
