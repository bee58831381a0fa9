/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
queue_assert_failed(const char *expression, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
	abort();
}
