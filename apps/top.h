/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file top.h
 * What `decree top` knows of a cluster at one moment, and how it is drawn.
 */
#ifndef APPS_TOP_H
#define APPS_TOP_H

#include <decree/metrics.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TOP_HISTORY_COUNT 64

/* One node, one group. */
struct top_row {
	uint16_t node_id;
	uint16_t group;
	bool has_answered;
	struct decree_metrics metrics; /* if it has */
};

struct top_view {
	uint64_t cluster_id;
	const char *name;
	struct top_row *rows; /* [row_count] by group, then by node */
	uint32_t row_count;
	uint32_t node_count;
	/* commands per second of the whole cluster, the newest last */
	uint64_t history[TOP_HISTORY_COUNT];
	uint32_t history_count;
};

/** Commands that the cluster executes each second: every group counts once. */
uint64_t top_rate(const struct top_view *v);

/** @param has_colours  escape sequences for a terminal. Lines have 80 columns at most. */
void top_draw(FILE *to, const struct top_view *v, bool has_colours);

#endif
