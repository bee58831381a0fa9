/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/json.h"

#include <math.h>

void
json_text(FILE *to, const char *text)
{
	(void)fputc('"', to);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < ' ')
			fprintf(to, "\\u%04x", c);
		else
			(void)fputc(c, to);
	}
	(void)fputc('"', to);
}

void
json_number(FILE *to, double number)
{
	if (isfinite(number))
		fprintf(to, "%.7g", number);
	else
		fprintf(to, "null");
}
