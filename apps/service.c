/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/service.h"

#include "apps/command.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define FEEDINGS 4 /* in the time that the manager waits: one that is late, or lost, does no harm */

static uint64_t feed_period_ns; /* 0: there is no watchdog */
static uint64_t fed_at_ns;      /* control thread */

void
service_begin(void)
{
	uint64_t patience_us = 0;

	if (sd_watchdog_enabled(0, &patience_us) > 0)
		feed_period_ns = patience_us * 1000 / FEEDINGS;
}

uint32_t
service_take_sockets(struct queue_socket *ret_sockets, uint32_t capacity)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < count; i++) {
		if ((uint32_t)i < capacity)
			ret_sockets[i] = (struct queue_socket){
				.fd = SD_LISTEN_FDS_START + i,
				.is_tls = strcmp(names[i], "tls") == 0,
			};
		free(names[i]);
	}
	free(names);
	return count > 0 ? (uint32_t)count : 0;
}

void
service_tell_ready(const struct decree_setup *setup)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=node %u of cluster %" PRIx64, setup->node_id,
		setup->cluster_id);
}

void
service_tell_stopping(const char *error)
{
	(void)sd_notifyf(0, "STOPPING=1\nSTATUS=%s", error != NULL ? error : "stopping");
}

void
service_on_pulse(void *context)
{
	uint64_t now = now_ns();

	(void)context;
	if (feed_period_ns == 0 || now - fed_at_ns < feed_period_ns)
		return;
	fed_at_ns = now;
	(void)sd_notify(0, "WATCHDOG=1");
}
