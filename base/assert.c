/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
base_assert_failed(const char *expression, const char *file, int line)
{
	fprintf(stderr, "decree: broken invariant: %s (%s:%d); stopping, nothing was lost\n",
		expression, file, line);
	abort();
}
