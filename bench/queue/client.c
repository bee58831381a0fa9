/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/queue/client.h"

#include "bench/queue/amqp.h"

#include <stdio.h>

int
client_open(struct client *c, const struct load_server *server, uint32_t address,
	const struct client_use *use, char ret_error[LOAD_ERROR_BYTES])
{
	*c = (struct client){
		.protocol = server->is_amqp ? client_amqp : &client_beanstalk,
		.fd = -1,
	};
	if (c->protocol != NULL)
		return c->protocol->open(c, &server->addresses[address], use, ret_error);
	snprintf(ret_error, LOAD_ERROR_BYTES, "built without librabbitmq: scripts/deps peers");
	return -1;
}

void
client_close(struct client *c)
{
	c->protocol->close(c);
}

void
client_put(
	struct client *c, uint64_t asked_ns, const char *body, uint32_t body_bytes, uint32_t ttr_s)
{
	c->protocol->put(c, asked_ns, body, body_bytes, ttr_s);
}

void
client_reserve(struct client *c, uint64_t asked_ns)
{
	c->protocol->reserve(c, asked_ns);
}

void
client_delete(struct client *c, uint64_t asked_ns, uint64_t id)
{
	c->protocol->remove(c, asked_ns, id);
}

int
client_send(struct client *c, char ret_error[LOAD_ERROR_BYTES])
{
	return c->protocol->send(c, ret_error);
}

int
client_receive(struct client *c, char ret_error[LOAD_ERROR_BYTES])
{
	return c->protocol->receive(c, ret_error);
}

int
client_next(struct client *c, struct client_answer *ret_answer, char ret_error[LOAD_ERROR_BYTES])
{
	return c->protocol->next(c, ret_answer, ret_error);
}
