/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/metrics.h"

#include <stddef.h>
#include <string.h>

static const struct decree_metric rows[] = {
#define X(scope_, kind_, unit_, name_, labels_, expression_, help_)                                \
	{ name_, labels_, DECREE_##kind_, DECREE_UNIT_##unit_, DECREE_OF_##scope_, help_ },
	METRIC_TABLE(X)
#undef X
#define X(identifier, word)                                                                        \
	{ "decree_frames_dropped_total", "reason=\"" word "\"", DECREE_COUNTER, DECREE_UNIT_NONE,  \
		DECREE_OF_SHARD, METRIC_DROP_HELP },
		NET_DROP_TABLE(X)
#undef X
#define X(unit_, name_, expression_, help_)                                                        \
	{ name_, "", DECREE_GAUGE, DECREE_UNIT_##unit_, DECREE_OF_PEER, help_ },
			METRIC_PEER_TABLE(X)
#undef X
};

static_assert(sizeof(rows) / sizeof(rows[0]) == METRIC_COUNT + METRIC_PEER_ROW_COUNT,
	"the rows of a node, then those of its peers");

DECREE_API
const struct decree_metric *
decree_metric_at(uint32_t index)
{
	return index < sizeof(rows) / sizeof(rows[0]) ? &rows[index] : NULL;
}

uint32_t
metrics_row_of(const char *name)
{
	uint32_t i = 0;

	while (strcmp(rows[i].name, name) != 0)
		decree_assert(++i < METRIC_COUNT);
	return i;
}
