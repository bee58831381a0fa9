/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/queue_metrics.h"

#include "queue/gateway.h"
#include "queue/query.h"

#define JOBS_HELP                                                                                  \
	"Jobs of all tubes, by state; the same on all nodes, but for what they have applied."

/* One row of the next table: how often clients said @p name. */
#define COMMAND(X, name, count)                                                                    \
	X(COUNTER, NONE, "decree_queue_commands_total", "command=\"" name "\"",                    \
		s[QUEUE_CMD_##count], "Commands of all clients of all nodes.")

/* X(kind, unit, name, labels, expression of `s` and `client_count`, help) */
#define QUEUE_METRIC_TABLE(X)                                                                      \
	X(GAUGE, NONE, "decree_queue_clients", "", client_count, "Connections to this node.")      \
	X(GAUGE, NONE, "decree_queue_jobs", "state=\"ready\"", s[QUEUE_STAT_JOBS_READY],           \
		JOBS_HELP)                                                                         \
	X(GAUGE, NONE, "decree_queue_jobs", "state=\"reserved\"", s[QUEUE_STAT_JOBS_RESERVED],     \
		JOBS_HELP)                                                                         \
	X(GAUGE, NONE, "decree_queue_jobs", "state=\"delayed\"", s[QUEUE_STAT_JOBS_DELAYED],       \
		JOBS_HELP)                                                                         \
	X(GAUGE, NONE, "decree_queue_jobs", "state=\"buried\"", s[QUEUE_STAT_JOBS_BURIED],         \
		JOBS_HELP)                                                                         \
	X(GAUGE, NONE, "decree_queue_urgent_jobs", "", s[QUEUE_STAT_JOBS_URGENT],                  \
		"Ready jobs with a priority below 1024.")                                          \
	X(GAUGE, NONE, "decree_queue_tubes", "", s[QUEUE_STAT_TUBES], "Tubes that exist.")         \
	X(GAUGE, NONE, "decree_queue_connections", "", s[QUEUE_STAT_CONNECTIONS],                  \
		"Connections to all nodes together.")                                              \
	X(GAUGE, NONE, "decree_queue_producers", "", s[QUEUE_STAT_PRODUCERS],                      \
		"Those that have put a job.")                                                      \
	X(GAUGE, NONE, "decree_queue_workers", "", s[QUEUE_STAT_WORKERS],                          \
		"Those that have reserved one.")                                                   \
	X(GAUGE, NONE, "decree_queue_waiting", "", s[QUEUE_STAT_WAITING],                          \
		"Those that wait for a job.")                                                      \
	X(GAUGE, BYTES, "decree_queue_used_bytes", "", s[QUEUE_STAT_BYTES_USED],                   \
		"Memory that jobs, tubes and connections take.")                                   \
	X(GAUGE, BYTES, "decree_queue_size_bytes", "", s[QUEUE_STAT_BYTES_MAX],                    \
		"Memory that puts may fill.")                                                      \
	X(COUNTER, NONE, "decree_queue_jobs_total", "", s[QUEUE_TOTAL_JOBS],                       \
		"Jobs that were put.")                                                             \
	X(COUNTER, NONE, "decree_queue_connections_total", "", s[QUEUE_TOTAL_CONNECTIONS],         \
		"Connections ever made, to all nodes.")                                            \
	X(COUNTER, NONE, "decree_queue_timeouts_total", "", s[QUEUE_JOB_TIMEOUTS],                 \
		"Jobs that came back since their worker was too slow.")                            \
	COMMAND(X, "put", PUT)                                                                     \
	COMMAND(X, "peek", PEEK)                                                                   \
	COMMAND(X, "peek-ready", PEEK_READY)                                                       \
	COMMAND(X, "peek-delayed", PEEK_DELAYED)                                                   \
	COMMAND(X, "peek-buried", PEEK_BURIED)                                                     \
	COMMAND(X, "reserve", RESERVE)                                                             \
	COMMAND(X, "reserve-timeout", RESERVE_TIMEOUT)                                             \
	COMMAND(X, "delete", DELETE)                                                               \
	COMMAND(X, "release", RELEASE)                                                             \
	COMMAND(X, "use", USE)                                                                     \
	COMMAND(X, "watch", WATCH)                                                                 \
	COMMAND(X, "ignore", IGNORE)                                                               \
	COMMAND(X, "bury", BURY)                                                                   \
	COMMAND(X, "kick", KICK)                                                                   \
	COMMAND(X, "touch", TOUCH)                                                                 \
	COMMAND(X, "stats", STATS)                                                                 \
	COMMAND(X, "stats-job", STATS_JOB)                                                         \
	COMMAND(X, "stats-tube", STATS_TUBE)                                                       \
	COMMAND(X, "list-tubes", LIST_TUBES)                                                       \
	COMMAND(X, "list-tube-used", LIST_TUBE_USED)                                               \
	COMMAND(X, "list-tubes-watched", LIST_TUBES_WATCHED)                                       \
	COMMAND(X, "pause-tube", PAUSE_TUBE)

const struct decree_metric queue_metrics[] = {
#define X(kind_, unit_, name_, labels_, expression_, help_)                                        \
	{ name_, labels_, DECREE_##kind_, DECREE_UNIT_##unit_, DECREE_OF_NODE, help_ },
	QUEUE_METRIC_TABLE(X)
#undef X
};

const uint32_t queue_metric_count = sizeof(queue_metrics) / sizeof(queue_metrics[0]);

bool
queue_metrics_read(const struct queue_gateway *gateway, uint64_t *ret_values)
{
	uint64_t s[QUEUE_STAT_COUNT], client_count;
	uint32_t i = 0;

	if (!queue_gateway_stats(gateway, s, &client_count))
		return false;
#define X(kind, unit, name, labels, expression, help) ret_values[i++] = (expression);
	QUEUE_METRIC_TABLE(X)
#undef X
	return true;
}
