/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sandbox.h
 * What a daemon gives up once its devices are up, so that whoever gets hold of it gets little.
 *
 *   sandbox_drop_capabilities()   behind decree_open(), which is what needs them: ports, huge
 *                                 pages, locked memory
 *   sandbox_filter()              when every thread runs that will run, but before anybody is
 *                                 served
 *
 * Threads:  both act on all threads of the process. Call them from the main thread, and no two at
 *           once.
 * Errors:   0 or -errno; `ret_error` gets one sentence. There is no way back, not even half-way:
 *           end the process.
 */
#ifndef APPS_SANDBOX_H
#define APPS_SANDBOX_H

#include <decree/types.h>

/**
 * Give up every capability, in every thread.
 *
 * The kernel lets a thread change its own only, so each of the others gets a signal. They run
 * libraries' code and are known to bear it: a system call that was interrupted is taken up again,
 * or returns EINTR.
 *
 * @retval -ETIMEDOUT  a thread does not take signals
 */
int sandbox_drop_capabilities(char ret_error[DECREE_ERROR_BYTES]);

/** From here on a system call that a running node does not need fails with EPERM, in every thread. */
int sandbox_filter(char ret_error[DECREE_ERROR_BYTES]);

#endif
