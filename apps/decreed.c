/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: one node of a cluster with a state machine of its own choice.
 *
 * It runs in the foreground, logs to standard error, and ends with status 0 on SIGTERM and SIGINT, 1 if
 * the node cannot start or has to stop, 2 on wrong usage.
 */
#include "apps/command.h"
#include "apps/log_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEALTH_PERIOD_NS 20000000 /* how late an end of the node's own is noticed */

#define NO_FD UINT64_MAX

static const char about[] =
	"Run the node that [local] of the configuration names, until SIGTERM or SIGINT.";

static const char machine_help[] =
	"what the cluster does with its commands: log (an ordered log; the default)";

static const char ready_help[] =
	"write READY=1 to this descriptor once the node takes part, and close it";

struct daemon_options {
	struct config_arguments config;
	uint64_t ready_fd; /* NO_FD: none */
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
wait_for_end(struct decree_node *node, const sigset_t *signals)
{
	const struct timespec period = { .tv_nsec = HEALTH_PERIOD_NS };
	char error[DECREE_ERROR_BYTES];

	for (;;) {
		int number = sigtimedwait(signals, NULL, &period);

		if (number > 0) {
			(void)fprintf(stderr, "decreed: %s: stopping\n",
				number == SIGTERM ? "SIGTERM" : "SIGINT");
			return EXIT_SUCCESS;
		}
		if (decree_health(node, error) != 0)
			return complain("%s", error);
	}
}

static int
run_node(struct decree_node *node, const struct daemon_options *o, const struct decree_setup *setup,
	uint64_t started_ns, const sigset_t *signals)
{
	int rc = decree_start(node);
	int status;

	if (rc != 0)
		return complain("cannot start the node: %s", strerror(-rc));
	(void)fprintf(stderr, "decreed: node %u of cluster %" PRIx64 " ready after %.0f ms\n",
		setup->node_id, setup->cluster_id, (double)(now_ns() - started_ns) / 1e6);
	tell_ready(o->ready_fd);
	status = wait_for_end(node, signals);
	decree_stop(node);
	return status;
}

static int
run(const struct daemon_options *o, uint64_t started_ns)
{
	static struct log_machine machines[DECREE_GROUP_COUNT_MAX];
	void *machine_list[DECREE_GROUP_COUNT_MAX];
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = o->config.path,
		.settings = o->config.settings,
		.setting_count = o->config.setting_count,
		.machine_ops = &log_machine_ops,
		.machines = machine_list,
	};
	char error[DECREE_ERROR_BYTES];
	struct decree_setup setup;
	struct decree_node *node;
	sigset_t signals;
	int status;

	if (o->ready_fd != NO_FD && fcntl((int)o->ready_fd, F_GETFD) < 0)
		return complain_usage("--ready-fd %" PRIu64
				      ": no descriptor of this number is open",
			o->ready_fd);
	if (!read_setup(&o->config, true, &setup))
		return EXIT_FAILURE;
	for (uint32_t i = 0; i < DECREE_GROUP_COUNT_MAX; i++)
		machine_list[i] = &machines[i];
	options.group_count = setup.group_count;

	/* Blocked before the node's threads start, so that only wait_for_end() sees them. */
	(void)sigemptyset(&signals); /* these fail for invalid numbers only */
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);

	if (decree_open(&options, &node, error) != 0)
		return complain("%s", error);
	status = run_node(node, o, &setup, started_ns, &signals);
	decree_close(node);
	return status;
}

int
main(int argc, char **argv)
{
	static const char *const machines[] = { "log", NULL };
	struct daemon_options o = { .ready_fd = NO_FD };
	const struct option_row rows[] = {
		row_config(&o.config, "the configuration of cluster and node"),
		{ "machine", 0, "WORD", machine_help, .words = machines },
		{ "ready-fd", 0, "N", ready_help, .number = &o.ready_fd, .max = 1023 },
	};
	const struct option_page page = { "-c FILE [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows), decree_version() };
	uint64_t started_ns = now_ns();
	int status;

	options_set_program("decreed", "");
	status = take_arguments(argc, argv, &page, &o.config, NULL, 0);
	return status == OPTIONS_GO_ON ? run(&o, started_ns) : status;
}
