/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/handshake_fixture.h"

const uint8_t cluster_key[NET_KEY_BYTES] = { 1, 2, 3 };
const uint8_t other_key[NET_KEY_BYTES] = { 3, 2, 1 };

struct handshake_config
config_of(const struct fixture *f, const struct end *e, uint64_t boot, uint8_t nonce)
{
	uint16_t local = e == &f->a ? 1 : 2;

	return (struct handshake_config){
		.auth = &f->auth,
		.ends = { .cluster_id = 7, .local_node = local, .remote_node = 3 - local },
		.secret = cluster_key,
		.nonce = { nonce, (uint8_t)local },
		.boot_count = boot,
		.identity = (const uint8_t *)"constants",
		.identity_bytes = 9,
	};
}

void
start(struct fixture *f, struct end *e, uint64_t boot, uint8_t nonce)
{
	struct handshake_config config = config_of(f, e, boot, nonce);

	handshake_init(&e->handshake, &config);
	e->out.bytes = 0;
}

int
setup(void **state)
{
	static struct fixture f;

	f.now_ns = 1000 * MS;
	*state = &f;
	if (auth_init(&f.auth, NET_AUTH_GMAC) != 0)
		return -1;
	start(&f, &f.a, 5, 0xa);
	start(&f, &f.b, 9, 0xb);
	return 0;
}

int
teardown(void **state)
{
	auth_fini(&((struct fixture *)*state)->auth);
	return 0;
}

enum net_drop
give(struct fixture *f, struct end *to, const struct datagram *d)
{
	struct frame_header h;

	assert_int_equal(frame_decode(d->at, d->bytes, &h), NET_DROP_NONE);
	return handshake_receive(&to->handshake, f->now_ns, &h, d->at, to->out.at, &to->out.bytes);
}

void
settle(struct fixture *f)
{
	for (int i = 0; i < 10 && (f->a.out.bytes > 0 || f->b.out.bytes > 0); i++) {
		struct end *from = f->a.out.bytes > 0 ? &f->a : &f->b;
		struct end *to = from == &f->a ? &f->b : &f->a;
		struct datagram sent = from->out;

		from->out.bytes = 0;
		/* The outcome is looked at by the test. */
		(void)give(f, to, &sent);
		f->now_ns += HELLO_ANSWER_GAP_NS;
	}
	assert_int_equal(f->a.out.bytes + f->b.out.bytes, 0);
}

void
say_hello(struct fixture *f, struct end *e)
{
	e->out.bytes = handshake_poll(&e->handshake, f->now_ns, e->out.at);
}

void
greet(struct fixture *f, struct end *from)
{
	f->now_ns += 100 * MS;
	say_hello(f, from);
	settle(f);
}

bool
talks(struct fixture *f, struct end *from, struct end *to)
{
	uint8_t frame[FRAME_HEADER_BYTES + 4] = { 0 };
	struct frame_header h;

	if (!from->handshake.is_established || !to->handshake.is_established)
		return false;
	session_seal(&f->auth, &from->handshake.session, &from->handshake.config.ends, 0, frame, 4);
	assert_int_equal(frame_decode(frame, sizeof(frame), &h), NET_DROP_NONE);
	return session_open(&f->auth, &to->handshake.session, &h, frame) == NET_DROP_NONE;
}

bool
both_talk(struct fixture *f)
{
	return talks(f, &f->a, &f->b) && talks(f, &f->b, &f->a);
}
