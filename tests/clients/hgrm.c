/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers from standard input through our histogram: what it prints of them, and percentiles that
 * are no steps of that. hgrm.js says the same with another implementation.
 */
#include "apps/histogram.h"

int
main(void)
{
	static const double percents[] = { 0, 12.5, 50, 90, 99, 99.9, 99.95, 99.99, 99.999, 100 };
	static struct histogram h;
	unsigned long long value;

	while (scanf("%llu", &value) == 1)
		histogram_add(&h, value);
	histogram_print(&h, 1, stdout);
	histogram_print(&h, 1000, stdout);
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		printf("%g %llu\n", percents[i], (unsigned long long)histogram_at(&h, percents[i]));
	return 0;
}
