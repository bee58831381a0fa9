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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEALTH_PERIOD_NS 20000000 /* how late an end of the node's own is noticed */

static const char help[] =
	"usage: decreed -c FILE [--machine=log] [--ready-fd N] [section.key=value ...]\n\n"
	"Run the node that [local] of the configuration names, until SIGTERM or SIGINT.\n\n"
	"  -c, --config FILE  the configuration of cluster and node\n"
	"      --machine M    what the cluster does with its commands: log (an ordered log; the "
	"default)\n"
	"      --ready-fd N   write READY=1 to this descriptor once the node takes part, and close "
	"it\n"
	"      --version\n";

struct daemon_options {
	struct config_arguments config;
	int ready_fd; /* -1: none */
};

static void
tell_ready(int fd)
{
	static const char ready[] = "READY=1\n";

	if (fd < 0)
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

static bool
parse_machine(const char *name)
{
	if (strcmp(name, "log") == 0)
		return true;
	(void)complain_usage("--machine %s: this version has 'log'", name);
	return false;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "machine", required_argument, NULL, 'm' },
		{ "ready-fd", required_argument, NULL, 'r' }, { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	struct daemon_options o = { .ready_fd = -1 };
	uint64_t started_ns = now_ns();
	uint64_t number = 0;
	bool ok = true;
	int option;

	set_program_name("decreed", "");
	opterr = 0; /* complaints are ours */
	while (ok && (option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
		if (option == 'c') {
			o.config.path = optarg;
		} else if (option == 'm') {
			ok = parse_machine(optarg);
		} else if (option == 'r') {
			ok = parse_number("--ready-fd", optarg, 0, 1023, &number);
			o.ready_fd = (int)number;
		} else if (option == 'v') {
			return printf("decreed %s\n", decree_version()), EXIT_SUCCESS;
		} else if (option == 'h') {
			return printf("%s", help), EXIT_SUCCESS;
		} else {
			return complain_option(argv);
		}
	}
	if (!ok || take_arguments(argc, argv, &o.config, NULL, 0) < 0)
		return EXIT_USAGE;
	return run(&o, started_ns);
}
