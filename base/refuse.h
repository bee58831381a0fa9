/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file refuse.h
 * The sentence for the operator that goes with -errno.
 */
#ifndef BASE_REFUSE_H
#define BASE_REFUSE_H

/** @param ret_error  [DECREE_ERROR_BYTES] the sentence, cut if it is too long. @return @p rc */
__attribute__((format(printf, 3, 4))) int
base_refuse(int rc, char *ret_error, const char *format, ...);

#endif
