/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plot.h
 * A pipe to gnuplot, for two plots side by side.
 *
 * Threads:  one.
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <stdio.h>

/**
 * Begin a picture of two plots, an SVG; what is written to @p ret_to is commands of gnuplot.
 *
 * @param path  lent for the call
 * @retval -ENOENT  there is no gnuplot
 */
int plot_open(const char *path, FILE **ret_to);

/** The picture is whole. @retval -EIO  gnuplot has complained, on standard error */
int plot_close(FILE *to);

#endif
