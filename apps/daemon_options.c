/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/daemon_options.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORT_NONE    UINT64_MAX
#define ADDRESS      "127.0.0.1"
#define PORT         11300
#define JOB_BYTES    4194240 /* the largest that a configuration may say */
#define IGNORED(why) .take = ignore, .context = (void *)(uintptr_t)(why)

static const char about[] =
	"Run a task queue that speaks beanstalkd's protocol: as the node that [local] of the "
	"configuration names, until SIGTERM or SIGINT. Without a configuration it is a queue of "
	"one node, durable, on 127.0.0.1:11300, in a folder that is made at the first start. "
	"SIGUSR1 drains: puts are refused from then on.";

static const char machine_help[] =
	"what the cluster does with its commands: queue, or log (an ordered log)";

static const char ready_help[] =
	"write READY=1 to this descriptor once the node takes part, and close it";

static const char directory_help[] =
	"without a configuration: the folder that everything is kept in (/var/lib/decree, or "
	"~/.local/state/decree)";

static const char sandbox_help[] =
	"once it runs, give up all capabilities and every system call that it does not need then";

/* ---------------------------------------------------------------------- options without a place */

static const char always_synced[] = "a job is on the disk before it is answered, always";
static const char no_segments[] =
	"the log is of the size that [local] log_bytes says, and used again";
static const char no_compaction[] = "snapshots keep the log short";
static const char no_verbosity[] = "all there is to say is logged already";

static bool
ignore(const struct option_row *row, const char *text)
{
	(void)text;
	(void)complain("-%c has no effect: %s", row->letter, (const char *)row->context);
	return true;
}

/* -------------------------------------------------------------------------- whose process it is */

/* Before anything is opened: what is made belongs to that user. */
static bool
become_user(const struct option_row *row, const char *name)
{
	const struct passwd *user = getpwnam(name);

	(void)row;
	if (user == NULL) {
		(void)complain_usage("--user %.64s: there is no such user", name);
		return false;
	}
	if (geteuid() == user->pw_uid)
		return true;
	if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
		setuid(user->pw_uid) != 0) {
		(void)complain_usage("--user %.64s: %s", name, strerror(errno));
		return false;
	}
	(void)setenv("HOME", user->pw_dir, 1); /* without it the folder has to be named */
	return true;
}

/* ------------------------------------------------------------------------------ settings */

static int
add_setting(struct daemon_options *o, const char *setting)
{
	if (o->config.setting_count == SETTING_COUNT_MAX)
		return complain_usage("more than %d settings", SETTING_COUNT_MAX);
	o->config.settings[o->config.setting_count++] = setting;
	return OPTIONS_GO_ON;
}

/* -l and -p, of which one may be missing. */
static int
add_listen(struct daemon_options *o)
{
	const char *address = o->address != NULL ? o->address : ADDRESS;
	uint64_t port = o->port != PORT_NONE ? o->port : PORT;
	bool is_path = strncmp(address, "unix:", 5) == 0;
	const char *host = strncmp(address, "tls:", 4) == 0 ? address + 4 : address;
	bool is_bare_v6 = !is_path && strchr(host, ':') != NULL && host[0] != '[';
	size_t capacity = sizeof(o->listen_setting);
	int length;

	if (o->address == NULL && o->port == PORT_NONE)
		return OPTIONS_GO_ON;
	if (is_path)
		length = snprintf(o->listen_setting, capacity, "queue.listen=%s", address);
	else
		length = snprintf(o->listen_setting, capacity, "queue.listen=%s%s%s%s:%" PRIu64,
			host != address ? "tls:" : "", is_bare_v6 ? "[" : "", host,
			is_bare_v6 ? "]" : "", port);
	if (length >= (int)capacity)
		return complain_usage("--listen %.64s...: too long", address);
	return add_setting(o, o->listen_setting);
}

static int
add_job_bytes(struct daemon_options *o)
{
	if (o->job_bytes_max == 0)
		return OPTIONS_GO_ON;
	(void)snprintf(o->job_bytes_setting, sizeof(o->job_bytes_setting),
		"queue.job_bytes=%" PRIu64, o->job_bytes_max); /* fits */
	return add_setting(o, o->job_bytes_setting);
}

/* ----------------------------------------------------------------------------- the command line */

static int
check(struct daemon_options *o)
{
	if (o->machine == DAEMON_LOG && o->config.path == NULL)
		return complain_usage("no configuration: add -c FILE");
	if (o->machine == DAEMON_LOG &&
		(o->address != NULL || o->port != PORT_NONE || o->job_bytes_max != 0))
		return complain_usage("--listen, --port and --job-bytes are the queue's, and this "
				      "is --machine=log");
	if (o->directory != NULL && o->config.path != NULL)
		return complain_usage("--directory is for a queue without a configuration: with "
				      "one, data_dir in its [local] says where the data are");
	return OPTIONS_GO_ON;
}

int
daemon_options_take(int argc, char **argv, struct daemon_options *ret)
{
	static const char *const machines[] = { "queue", "log", NULL };
	struct daemon_options *o = ret;
	const struct option_row rows[] = {
		row_config(&o->config, "the configuration of cluster and node"),
		{ "machine", 0, "WORD", machine_help, .number = &o->machine, .words = machines },
		{ "ready-fd", 0, "N", ready_help, .number = &o->ready_fd, .max = 1023 },
		{ "listen", 'l', "ADDR",
			"address for clients, tls:ADDR, or unix:PATH (" ADDRESS ")",
			.text = &o->address },
		{ "port", 'p', "N", "port for clients (11300); 0: any", .number = &o->port,
			.max = UINT16_MAX },
		{ "job-bytes", 'z', "N", "largest job (65535)", .number = &o->job_bytes_max,
			.min = 1, .max = JOB_BYTES },
		{ "directory", 'b', "DIR", directory_help, .text = &o->directory },
		{ "user", 'u', "USER", "become this user first", .take = become_user },
		{ "sandbox", 0, NULL, sandbox_help, .flag = &o->is_sandboxed },
		{ "sync-ms", 'f', "MS", "no effect: every job is synced", IGNORED(always_synced) },
		{ "no-sync", 'F', NULL, "no effect", IGNORED(always_synced) },
		{ "no-compact", 'n', NULL, "no effect", IGNORED(no_compaction) },
		{ "segment-bytes", 's', "N", "no effect", IGNORED(no_segments) },
		{ "verbose", 'V', NULL, "no effect", IGNORED(no_verbosity) },
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows), decree_version(), 'v' };
	int status;

	*o = (struct daemon_options){
		.config = { .is_optional = true, .has_own = true },
		.machine = DAEMON_QUEUE,
		.ready_fd = NO_FD,
		.port = PORT_NONE,
	};
	status = take_arguments(argc, argv, &page, &o->config, NULL, 0);
	if (status == OPTIONS_GO_ON)
		status = check(o);
	if (status == OPTIONS_GO_ON)
		status = add_listen(o);
	if (status == OPTIONS_GO_ON)
		status = add_job_bytes(o);
	return status;
}
