/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: one node of a cluster whose state machine is a task queue with its clients' sockets,
 * or an ordered log.
 *
 * It runs in the foreground, logs to standard error or the journal (journal.h), and ends with
 * status 0 on SIGTERM and SIGINT, 1 if the node cannot start now or has to stop, 2 if somebody has
 * to correct the command line, the configuration or what it names. Without a configuration it makes
 * one (standalone.h). A service manager hears of it (service.h); with --sandbox it gives up what it
 * does not need any more once it runs (sandbox.h).
 */
#include "apps/daemon_options.h"
#include "apps/journal.h"
#include "apps/log_machine.h"
#include "apps/queue_metrics.h"
#include "apps/queue_server.h"
#include "apps/sandbox.h"
#include "apps/service.h"
#include "apps/standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define HEALTH_PERIOD_NS 20000000 /* how late an end of the node's own is noticed */

struct daemon {
	struct daemon_options options;
	uint64_t started_ns;
	struct decree_setup setup;
	sigset_t signals;           /* blocked in all threads: wait_for_end() takes them */
	struct queue_server *queue; /* NULL: the machine is a log */
};

static void
tell_ready(uint64_t number)
{
	static const char ready[] = "READY=1\n";
	int fd = (int)number;

	if (number == NO_FD)
		return;
	if (write(fd, ready, sizeof(ready) - 1) != (ssize_t)sizeof(ready) - 1)
		(void)complain("--ready-fd %d: %s", fd, strerror(errno));
	(void)close(fd); /* nothing more to say */
}

/* @return the exit status once a signal or the node's own end came */
static int
wait_for_end(const struct daemon *d, struct decree_node *node)
{
	const struct timespec period = { .tv_nsec = HEALTH_PERIOD_NS };
	char error[DECREE_ERROR_BYTES];
	int rc;

	for (;;) {
		int number = sigtimedwait(&d->signals, NULL, &period);

		if (number == SIGUSR1) {
			queue_gateway_drain(d->queue->gateway);
			journal_say(JOURNAL_DRAINS, "SIGUSR1: draining, puts are refused");
		} else if (number > 0) {
			journal_say(JOURNAL_STOPS, "%s: stopping",
				number == SIGTERM ? "SIGTERM" : "SIGINT");
			service_tell_stopping(NULL);
			return EXIT_SUCCESS;
		}
		/* The node's log says why, too. */
		rc = decree_health(node, error);
		if (rc != 0) {
			service_tell_stopping(error);
			return status_of(rc);
		}
	}
}

static int
start(const struct daemon *d, struct decree_node *node)
{
	char error[DECREE_ERROR_BYTES];
	int rc;

	/* Threads that start from here on inherit that there are none. */
	if (d->options.is_sandboxed && sandbox_drop_capabilities(error) != 0)
		return complain("%s", error);
	rc = decree_start(node);
	if (rc != 0)
		return complain("cannot start the node: %s", strerror(-rc));
	if (d->queue != NULL &&
		queue_gateway_start(d->queue->gateway, node, d->queue->machine, error) != 0)
		return complain("%s", error);
	if (d->options.is_sandboxed && sandbox_filter(error) != 0)
		return complain("%s", error);
	journal_say(JOURNAL_READY, "node %u of cluster %" PRIx64 " ready after %.0f ms",
		d->setup.node_id, d->setup.cluster_id, (double)(now_ns() - d->started_ns) / 1e6);
	if (d->queue != NULL)
		queue_server_print(d->queue);
	tell_ready(d->options.ready_fd);
	service_tell_ready(&d->setup);
	return EXIT_SUCCESS;
}

static int
run_node(const struct daemon *d, const struct decree_options *options)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_node *node;
	int status, rc;

	rc = decree_open(options, &node, error);
	if (rc != 0)
		return complain_of(rc, error);
	status = start(d, node);
	if (status == EXIT_SUCCESS)
		status = wait_for_end(d, node);
	if (d->queue != NULL)
		queue_gateway_stop(d->queue->gateway);
	decree_stop(node);
	decree_close(node);
	return status;
}

/* What both machines' options have in common. */
static struct decree_options
node_options(const struct daemon *d)
{
	return (struct decree_options){
		.struct_bytes = sizeof(struct decree_options),
		.config_path = d->options.config.path,
		.settings = d->options.config.settings,
		.setting_count = d->options.config.setting_count,
		.group_count = d->setup.group_count,
		.on_pulse = service_on_pulse,
		.on_log_line = journal_on_line,
	};
}

static int
run_logs(const struct daemon *d)
{
	static struct log_machine machines[DECREE_GROUP_COUNT_MAX];
	void *machine_list[DECREE_GROUP_COUNT_MAX];
	struct decree_options options = node_options(d);

	for (uint32_t i = 0; i < DECREE_GROUP_COUNT_MAX; i++)
		machine_list[i] = &machines[i];
	options.machine_ops = &log_machine_ops;
	options.machines = machine_list;
	return run_node(d, &options);
}

static int
run_queue(struct daemon *d)
{
	struct decree_options options = node_options(d);
	struct queue_server server;
	void *machine;
	int status;

	status = queue_server_create(&d->setup, &server);
	if (status != OPTIONS_GO_ON)
		return status;
	d->queue = &server;
	machine = server.machine;
	options.machine_ops = &queue_machine_ops;
	options.machines = &machine;
	options.context = &server;
	options.on_applied = queue_server_on_applied;
	options.metrics = queue_metrics;
	options.metric_count = queue_metric_count;
	options.read_metrics = queue_server_read_metrics;
	status = run_node(d, &options);
	queue_server_destroy(&server);
	return status;
}

/* Before the node's threads start, which inherit it. */
static void
block_signals(struct daemon *d)
{
	(void)sigemptyset(&d->signals); /* these fail for invalid numbers only */
	(void)sigaddset(&d->signals, SIGTERM);
	(void)sigaddset(&d->signals, SIGINT);
	if (d->options.machine == DAEMON_QUEUE)
		(void)sigaddset(&d->signals, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &d->signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Each client is an open file, and what shells and services start with allows a thousand, for the
 * sake of programs that use select(). */
static void
allow_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return; /* the gateway says so once there are too many */
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* as above */
}

static int
run(struct daemon *d)
{
	static char path[DECREE_PATH_BYTES];
	struct daemon_options *o = &d->options;
	int status;

	if (o->ready_fd != NO_FD && fcntl((int)o->ready_fd, F_GETFD) < 0)
		return complain_usage("--ready-fd %" PRIu64
				      ": no descriptor of this number is open",
			o->ready_fd);
	if (o->config.path == NULL) {
		status = standalone_prepare(o->directory,
			&(struct standalone_first){
				.job_bytes_max = (uint32_t)o->job_bytes_max,
				.settings = o->config.settings,
				.setting_count = o->config.setting_count,
			},
			path);
		if (status != OPTIONS_GO_ON)
			return status;
		o->config.path = path;
	}
	status = read_setup(&o->config, true, &d->setup);
	if (status != OPTIONS_GO_ON)
		return status;
	journal_set_node(&d->setup);
	allow_open_files();
	block_signals(d);
	service_begin();
	return o->machine == DAEMON_LOG ? run_logs(d) : run_queue(d);
}

int
main(int argc, char **argv)
{
	static struct daemon d;
	int status;

	d.started_ns = now_ns();
	options_set_program("decreed", "");
	journal_open();
	status = daemon_options_take(argc, argv, &d.options);
	return status == OPTIONS_GO_ON ? run(&d) : status;
}
