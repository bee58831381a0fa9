/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plot.h
 * A pipe to gnuplot, for plots side by side, or one above the other.
 *
 * Threads:  one.
 */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <stdio.h>

/**
 * Begin a picture of several plots, an SVG; what is written to @p ret_to is commands of gnuplot.
 *
 * @param rows  of plots; 1: two of them side by side, else one in each row
 * @param path  lent for the call
 * @retval -ENOENT  there is no gnuplot
 */
int plot_open(const char *path, unsigned rows, FILE **ret_to);

/** The picture is whole. @retval -EIO  gnuplot has complained, on standard error */
int plot_close(FILE *to);

#endif
