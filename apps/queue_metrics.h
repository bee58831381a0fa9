/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue_metrics.h
 * What a task queue counts, as rows for decree_options.metrics. Sums over all tubes: the names of
 * tubes are the clients', and would make as many labels as they like.
 */
#ifndef APPS_QUEUE_METRICS_H
#define APPS_QUEUE_METRICS_H

#include <decree/metrics.h>

#include <stdbool.h>
#include <stdint.h>

extern const struct decree_metric queue_metrics[];
extern const uint32_t queue_metric_count;

struct queue_gateway;

/** @param ret_values  [queue_metric_count] @return false: not known yet. Any thread. */
bool queue_metrics_read(const struct queue_gateway *gateway, uint64_t *ret_values);

#endif
