/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest.h
 * The digest of a command's body as the engine computes it and `decree log` shows it.
 */
#ifndef APPS_DIGEST_H
#define APPS_DIGEST_H

#include <decree/types.h>

/** @param body  may be NULL if @p bytes is 0 */
struct decree_digest body_digest(const void *body, uint32_t bytes);

#endif
