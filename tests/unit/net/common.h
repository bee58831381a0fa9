/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of net share: cmocka with what it needs included before it. */
#ifndef TESTS_UNIT_NET_COMMON_H
#define TESTS_UNIT_NET_COMMON_H

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define MS UINT64_C(1000000)

#endif
