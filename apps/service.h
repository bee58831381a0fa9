/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file service.h
 * What the daemon tells the manager that started it, if that is systemd or speaks like it
 * (NOTIFY_SOCKET).
 *
 * Without one all of this does nothing. A message that cannot be sent is lost: the manager then
 * acts as if the daemon did not run well, which is what it is for.
 */
#ifndef APPS_SERVICE_H
#define APPS_SERVICE_H

#include <decree/setup.h>

/** Before decree_open(): how often the manager wants to hear of us (WATCHDOG_USEC). */
void service_begin(void);

/** The node takes part. */
void service_tell_ready(const struct decree_setup *setup);

/** It begins to stop: as asked to (NULL), or because of @p error. */
void service_tell_stopping(const char *error);

/** For decree_options.on_pulse: feeds the watchdog, four times within its patience. Control thread. */
void service_on_pulse(void *context);

#endif
