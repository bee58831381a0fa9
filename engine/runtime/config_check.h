/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file config_check.h
 * How the values of a configuration have to fit together. Private to config.c.
 */
#ifndef ENGINE_RUNTIME_CONFIG_CHECK_H
#define ENGINE_RUNTIME_CONFIG_CHECK_H

#include "engine/runtime/config.h"

/** @retval -EINVAL  something is missing or contradicts something else: [DECREE_ERROR_BYTES] says
 * what */
int config_check(const struct config *c, enum config_purpose purpose, char *ret_error);

#endif
