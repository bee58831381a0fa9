/* SPDX-License-Identifier: Apache-2.0 */
#include "base/refuse.h"

#include "decree/types.h"

#include <stdarg.h>
#include <stdio.h>

int
base_refuse(int rc, char *ret_error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(ret_error, DECREE_ERROR_BYTES, format, args);
	va_end(args);
	return rc;
}
