/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file versioned.h
 * Structures that grow. The first member is the size that the caller was compiled with; members are
 * only ever added, at the end and not into padding, and zero means what it was like before there
 * was the member.
 */
#ifndef DECREE_BASE_VERSIONED_H
#define DECREE_BASE_VERSIONED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Nothing public is nearly as large: a size beyond is a variable that nobody has set. */
#define VERSIONED_BYTES_MAX 4096

/**
 * Take over a caller's structure: an older one is filled up with zeros; a newer one is welcome as
 * long as it uses nothing that is not known here.
 *
 * @param to    [to_bytes] a whole structure in any case
 * @param from  begins with its size
 * @retval false  no size, or something is set that this version does not know
 */
static inline bool
versioned_copy(void *to, size_t to_bytes, const void *from)
{
	size_t from_bytes;

	memset(to, 0, to_bytes);
	if (from == NULL)
		return false;
	memcpy(&from_bytes, from, sizeof(from_bytes));
	if (from_bytes < sizeof(from_bytes) || from_bytes > VERSIONED_BYTES_MAX)
		return false;
	for (size_t i = to_bytes; i < from_bytes; i++)
		if (((const uint8_t *)from)[i] != 0)
			return false;
	memcpy(to, from, from_bytes < to_bytes ? from_bytes : to_bytes);
	return true;
}

#endif
