/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file handshake_fixture.h
 * Two ends that make a session of each other's hellos, and whoever carries these between them.
 */
#ifndef TEST_NET_HANDSHAKE_FIXTURE_H
#define TEST_NET_HANDSHAKE_FIXTURE_H

#include "tests/unit/net/common.h"

#include "net/handshake.h"

struct datagram {
	uint8_t at[HELLO_DATAGRAM_BYTES];
	uint32_t bytes; /* 0: there is none */
};

struct end {
	struct handshake handshake;
	struct datagram out; /* the last one that it wanted to send */
};

struct fixture {
	struct auth auth;
	struct end a; /* node 1 */
	struct end b; /* node 2 */
	uint64_t now_ns;
};

extern const uint8_t cluster_key[NET_KEY_BYTES], other_key[NET_KEY_BYTES];

/** Node 1 has been started 5 times, node 2 has 9 times; neither has said anything. */
int setup(void **state);
int teardown(void **state);

/** Of a life of that end. @param nonce  one byte of it; another tells the nodes apart */
struct handshake_config
config_of(const struct fixture *f, const struct end *e, uint64_t boot, uint8_t nonce);
void start(struct fixture *f, struct end *e, uint64_t boot, uint8_t nonce);

/** If one is due by now. */
void say_hello(struct fixture *f, struct end *e);
enum net_drop give(struct fixture *f, struct end *to, const struct datagram *d);
/** Deliver answers until both ends are silent. */
void settle(struct fixture *f);
/** 100 ms later that end says hello, and all comes of it that will. */
void greet(struct fixture *f, struct end *from);

/** Does what one end seals open at the other? */
bool talks(struct fixture *f, struct end *from, struct end *to);
/** Both ways. */
bool both_talk(struct fixture *f);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
