/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest_wide.h"

bool
digest_has_wide(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}
