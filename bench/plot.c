/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/plot.h"

#include <errno.h>
#include <stdlib.h>

int
plot_open(const char *path, unsigned rows, FILE **ret_to)
{
	unsigned columns = rows == 1 ? 2 : 1;
	unsigned height = rows == 1 ? 480 : 280 * rows;
	FILE *to;

	if (system("gnuplot --version >/dev/null 2>&1") != 0)
		return -ENOENT;
	to = popen("gnuplot", "we");
	if (to == NULL)
		return -errno;
	fprintf(to,
		"set terminal svg size 1000,%u font 'sans-serif,11' noenhanced\nset output '%s'\n"
		"set key top left\nset multiplot layout %u,%u\n",
		height, path, rows, columns);
	*ret_to = to;
	return 0;
}

int
plot_close(FILE *to)
{
	fprintf(to, "unset multiplot\n");
	return pclose(to) == 0 ? 0 : -EIO;
}
