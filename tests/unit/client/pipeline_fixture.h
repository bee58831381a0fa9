/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pipeline_fixture.h
 * Fixture: a client's pipeline to three nodes. Time is a number; the test is the nodes.
 */
#ifndef TESTS_PIPELINE_FIXTURE_H
#define TESTS_PIPELINE_FIXTURE_H

#include "engine/client/pipeline.h"

#define MS          UINT64_C(1000000)
#define FRAME_BYTES 512
#define SESSION     77

struct fixture {
	struct pipeline p;
	uint64_t now_ns;
	uint8_t frame[FRAME_BYTES];
	struct client_msg sent; /* the last frame, decoded */
	uint16_t to;
};

struct pipeline_config fixture_config(uint32_t in_flight_max);

/* cmocka's; the state is a struct fixture. */
int fixture_setup(void **state);
/** The same, and session SESSION is open. */
int fixture_setup_registered(void **state);
int fixture_teardown(void **state);

#define REGISTERED(test)                                                                           \
	cmocka_unit_test_setup_teardown(test, fixture_setup_registered, fixture_teardown)

/** So many commands of 7 bytes. */
void fixture_submit(struct fixture *f, uint32_t count);
/** Up to 64 of them. */
uint32_t fixture_take(struct fixture *f, struct decree_completion *ret);
/** Time goes on until something is due. */
void fixture_pass(struct fixture *f, uint64_t ns);
/** Into `sent`. @return false if there is nothing to send */
bool fixture_send_one(struct fixture *f);
/** The first command of the COMMANDS in `sent`. */
struct eng_command fixture_first_sent(struct fixture *f);

/* Node `from` says: */
void
fixture_receive_written(struct fixture *f, uint16_t from, const uint8_t *bytes, uint32_t count);
void fixture_receive_reply(struct fixture *f, uint16_t from, struct client_reply reply);
/** Applied, with 10 * seq as the result. */
void fixture_receive_answer(struct fixture *f, uint16_t from, uint64_t seq);
void fixture_receive_redirect(
	struct fixture *f, uint16_t from, uint16_t leader, enum client_redirect_reason reason);

#endif
