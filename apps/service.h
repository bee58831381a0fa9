/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file service.h
 * What the daemon tells the manager that started it, and gets from it, if that is systemd or speaks
 * like it (NOTIFY_SOCKET, LISTEN_FDS).
 *
 * Without one all of this does nothing. A message that cannot be sent is lost: the manager then
 * acts as if the daemon did not run well, which is what it is for.
 */
#ifndef APPS_SERVICE_H
#define APPS_SERVICE_H

#include "queue/gateway.h"

#include <decree/setup.h>

/** Before decree_open(): how often the manager wants to hear of us (WATCHDOG_USEC). */
void service_begin(void);

/**
 * The sockets that the manager has opened for us; the caller owns them. One with the name `tls`
 * (FileDescriptorName=) is for TLS. To be asked once: programs that we start must not take them for
 * theirs.
 *
 * @param ret_sockets  [capacity]
 * @return how many there are, also if that is more than @p capacity  @retval 0 none
 */
uint32_t service_take_sockets(struct queue_socket *ret_sockets, uint32_t capacity);

/** The node takes part. */
void service_tell_ready(const struct decree_setup *setup);

/** It begins to stop: as asked to (NULL), or because of @p error. */
void service_tell_stopping(const char *error);

/** For decree_options.on_pulse: feeds the watchdog, four times within its patience. Control thread. */
void service_on_pulse(void *context);

#endif
