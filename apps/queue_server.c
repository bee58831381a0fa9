/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/queue_server.h"

#include "apps/command.h"
#include "apps/journal.h"
#include "apps/queue_metrics.h"
#include "apps/service.h"
#include "queue/command.h"

#include <stdlib.h>
#include <string.h>

static int
check(const struct decree_setup *setup)
{
	uint32_t wanted = setup->queue.job_bytes_max + QUEUE_COMMAND_FIXED_BYTES_MAX;

	if (setup->group_count != 1) {
		(void)complain("groups = %u, but the task queue is one group: set shards = 1 and "
			       "groups = 1, or give --machine=log",
			setup->group_count);
		return EXIT_USAGE;
	}
	if (wanted > setup->command_bytes_max) {
		(void)complain("[queue] job_bytes = %u does not fit [cluster] command_bytes_max = "
			       "%u: lower it, or format the nodes with command_bytes_max = %u or "
			       "more, since that is fixed then (without a configuration: begin "
			       "another folder, -b DIR)",
			setup->queue.job_bytes_max, setup->command_bytes_max, wanted);
		return EXIT_USAGE;
	}
	return OPTIONS_GO_ON;
}

static const char *
path_or_none(const char *path)
{
	return path[0] != 0 ? path : NULL;
}

/* Sockets of a service manager take the place of addresses, as with beanstalkd. */
static int
create_gateway(const struct decree_setup *setup, struct queue_server *server)
{
	const char *listens[DECREE_LISTEN_COUNT_MAX];
	struct queue_socket sockets[DECREE_LISTEN_COUNT_MAX];
	uint32_t socket_count = service_take_sockets(sockets, DECREE_LISTEN_COUNT_MAX);
	const struct queue_gateway_options options = {
		.listens = listens,
		.listen_count = socket_count == 0 ? setup->queue.listen_count : 0,
		.sockets = sockets,
		.socket_count = socket_count,
		.node_id = setup->node_id,
		.job_bytes_max = setup->queue.job_bytes_max,
		.keeps_stats = setup->are_metrics_served,
		.has_old_yaml = setup->queue.has_unquoted_yaml,
		.tls_cert = path_or_none(setup->queue.tls_cert),
		.tls_key = path_or_none(setup->queue.tls_key),
		.tls_ca = path_or_none(setup->queue.tls_ca),
		.on_log = journal_on_queue,
	};
	char error[DECREE_ERROR_BYTES];
	int rc;

	if (socket_count > DECREE_LISTEN_COUNT_MAX)
		return complain_usage("%u sockets are given to the queue, which serves %u at most",
			socket_count, DECREE_LISTEN_COUNT_MAX);
	server->has_sockets = socket_count > 0;
	for (uint32_t i = 0; i < setup->queue.listen_count; i++)
		listens[i] = setup->queue.listens[i];
	rc = queue_gateway_create(&options, &server->gateway, error);
	return rc == 0 ? OPTIONS_GO_ON : complain_of(rc, error);
}

static int
create_machine(const struct decree_setup *setup, struct queue_server *server)
{
	const struct queue_config config = {
		.queue_bytes = setup->queue.bytes,
		.on_reserved = queue_gateway_on_reserved,
		.on_found = queue_gateway_on_found,
		.on_restored = queue_gateway_on_restored,
		.context = server->gateway,
	};
	int rc = queue_machine_create(&config, &server->machine);

	if (rc == 0)
		return OPTIONS_GO_ON;
	return complain("[queue] bytes = %lluM: %s", (unsigned long long)(setup->queue.bytes >> 20),
		strerror(-rc));
}

int
queue_server_create(const struct decree_setup *setup, struct queue_server *ret_server)
{
	struct queue_server server = { 0 };

	int status = check(setup);

	if (status == OPTIONS_GO_ON)
		status = create_gateway(setup, &server);
	if (status == OPTIONS_GO_ON)
		status = create_machine(setup, &server);
	if (status == OPTIONS_GO_ON)
		*ret_server = server;
	else
		queue_server_destroy(&server);
	return status;
}

void
queue_server_destroy(struct queue_server *server)
{
	queue_gateway_destroy(server->gateway);
	queue_machine_destroy(server->machine);
}

void
queue_server_on_applied(
	void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	const struct queue_server *server = context;

	(void)group;
	(void)first;
	(void)after;
	queue_gateway_on_applied(server->gateway);
}

bool
queue_server_read_metrics(void *context, uint64_t *ret_values)
{
	const struct queue_server *server = context;

	return queue_metrics_read(server->gateway, ret_values);
}

void
queue_server_print(const struct queue_server *server)
{
	const char *address;

	for (uint32_t i = 0; (address = queue_gateway_address(server->gateway, i)) != NULL; i++)
		journal_say(JOURNAL_LISTENS, "queue on %s%s", address,
			server->has_sockets ? ", a socket of the service manager's" : "");
}
