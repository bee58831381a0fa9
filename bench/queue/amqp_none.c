/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/queue/amqp.h"

const struct client_protocol *const client_amqp = NULL;

int
amqp_forget(const struct load_server *server, const char *tube, char *ret_error)
{
	(void)server;
	(void)tube;
	ret_error[0] = '\0';
	return -1;
}
