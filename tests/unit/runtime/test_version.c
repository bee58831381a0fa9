/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster whose version is raised: what its shards' logs and networks are told, and when
 * (protocol 16). */
#include "world.h"

#include "base/bytes.h"
#include "base/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Takes the place of the build's own: this is the next one. */
const struct versions base_versions = { .min = VERSION_FIRST, .max = 2 };

static void
tune(struct world_node *n)
{
	n->eng.version_min = base_versions.min;
	n->eng.version_max = base_versions.max;
}

static enum client_admin_status
ask_to_raise(struct world *w, struct world_node *n, uint64_t token)
{
	static const struct net_endpoint client = { .client = 5, .client_generation = 9 };
	const uint8_t arguments[CLIENT_ADMIN_ARGUMENT_BYTES] = { 0 };
	uint8_t payload[CLIENT_MSG_FIXED_BYTES_MAX];
	struct client_msg m = {
		.type = CLIENT_MSG_ADMIN_REQUEST,
		.admin_request = { .token = token,
			.op = DECREE_ADMIN_RAISE,
			.arguments = arguments },
	};

	w->client_frame_count = 0;
	world_deliver(w, n, client, payload, client_msg_encode(&m, payload, sizeof(payload)));
	(void)world_turn(w);
	assert_int_equal(w->client_frame_count, 1);
	assert_int_equal(
		client_msg_decode(w->client_frames[0].payload, w->client_frames[0].bytes, &m), 0);
	return m.admin_reply.status;
}

static void
assert_version(const struct world *w, uint32_t of_log, uint8_t of_sessions)
{
	for (uint32_t i = 0; i < w->node_count; i++) {
		assert_int_equal(w->nodes[i].log.version, of_log);
		assert_int_equal(w->nodes[i].net.version_required, of_sessions);
	}
}

/* As both are made: of the first version. */
static void
assert_never_told(const struct world *w)
{
	assert_version(w, 0, 0);
}

/* Programs of the first version, then of the next: the log and the sessions follow the decision,
 * not the programs. */
static void
test_log_and_sessions_follow_a_raise(void **state)
{
	struct world *w;
	struct world_node *leader;

	(void)state;
	world_tune = tune;
	w = world_new(3);
	leader = world_elect(w);
	world_run(w, 100000000);
	assert_never_told(w);
	assert_int_equal(ask_to_raise(w, leader, 1), CLIENT_ADMIN_REFUSED);

	w->version_max = 2;
	world_run(w, 100000000);
	assert_never_told(w);
	assert_int_equal(ask_to_raise(w, leader, 2), CLIENT_ADMIN_PENDING);
	world_run(w, 1000000000);
	assert_int_equal(ask_to_raise(w, leader, 2), CLIENT_ADMIN_DONE);
	assert_version(w, 2, 2);
	world_free(w);
}

/* A node that was raised before is so from its start on: the log says it, and nobody asks again. */
static void
test_a_restarted_node_knows(void **state)
{
	struct world_node *node;
	struct world *w;

	(void)state;
	world_tune = tune;
	w = world_new(3);
	w->version_max = 2; /* the founders' */
	(void)world_elect(w);
	world_run(w, 1000000000);
	assert_version(w, 2, 2);
	node = world_follower(w);
	node->log.version = 0;
	node->net.version_required = 0;
	world_restart(w, node);
	world_run(w, 100000000);
	assert_version(w, 2, 2);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_and_sessions_follow_a_raise),
		cmocka_unit_test(test_a_restarted_node_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
