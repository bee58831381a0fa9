/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/standalone.h"

#include "apps/command.h"
#include "apps/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_BYTES         "256M"
#define SEGMENT_BYTES     "64M"
#define QUEUE_BYTES       "1G"
#define COMMAND_BYTES_MIN 131072 /* the engine's default */
#define COMMAND_OVERHEAD  64     /* of a put around its body, and room to spare */

/* Few sessions, since each start takes one and only the last of them lives; a node that does not
 * sleep takes a whole CPU. */
static const char file_text[] =
	"# Made by decreed: one node, no network. docs/operating.md says what may stand here.\n"
	"# decree tasks, status and the like ask it at ip, which is an address of this host's own\n"
	"# and different from those of other queues on it.\n"
	"\n"
	"[cluster]\n"
	"id = %016" PRIx64 "\n"
	"key_file = cluster.key\n"
	"client_key_file = client.key\n"
	"command_bytes_max = %" PRIu32 "\n"
	"session_count = 64\n"
	"session_idle_slots = 16\n"
	"\n"
	"[node 1]\n"
	"ip = 127.%u.%u.%u\n"
	"\n"
	"[local]\n"
	"node = 1\n"
	"data_dir = data\n"
	"log_bytes = %s\n"
	"segment_bytes = %s\n"
	"idle = sleep\n"
	"\n"
	"[queue]\n"
	"bytes = %s\n";

/* A first start makes everything in NEW. Renamed to MADE it is whole, and its parts move from there
 * to their places in the folder, the configuration last: whoever finds that finds all. A start that
 * is killed on the way leaves NEW, which the next one throws away, or MADE, which the next one goes
 * on to empty. */
#define NEW  "decree.new"
#define MADE "decree.made"

static const char *const parts[] = { "cluster.key", "client.key", "data", STANDALONE_FILE_NAME };
#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

struct folder {
	int fd; /* locked while it is prepared */
	const char *path;
	char file[DECREE_PATH_BYTES]; /* decree.ini */
};

static int exit_status; /* for the complaint that was made */

static bool
fail(const char *path, const char *what)
{
	exit_status = status_of(-errno);
	(void)complain("%s: %s: %s", path, what, strerror(errno));
	return false;
}

/* ------------------------------------------------------------------------------ where */

/* With its parents. */
static bool
make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700); /* if it fails the last one does */
		*slash = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool
choose_in_home(char *ret_path)
{
	if (standalone_home(ret_path))
		return make_folders(ret_path) || fail(ret_path, "cannot make the folder");
	exit_status = EXIT_USAGE;
	(void)complain(
		STANDALONE_SYSTEM_DIRECTORY " cannot be written by this user, and it has no home: "
					    "name a folder, -b DIR");
	return false;
}

static bool
choose_directory(char *ret_path)
{
	(void)strcpy(ret_path, STANDALONE_SYSTEM_DIRECTORY); /* fits */
	if ((mkdir(ret_path, 0700) != 0 && errno != EEXIST) || access(ret_path, W_OK | X_OK) != 0)
		if (!choose_in_home(ret_path))
			return false;
	journal_say(
		JOURNAL_STANDALONE, "jobs are kept in %s; -b DIR names another folder", ret_path);
	return true;
}

/* ------------------------------------------------------------------------------ the first start */

static bool
write_whole(int fd, const char *text, size_t bytes)
{
	ssize_t written = write(fd, text, bytes);

	if (written >= 0 && (size_t)written < bytes)
		errno = ENOSPC;
	return written == (ssize_t)bytes && fsync(fd) == 0;
}

/* How large the log and the queue are shall be for ever, so the first start's settings are what the
 * file says. */
static const char *
setting_of(const struct standalone_first *first, const char *name, const char *otherwise)
{
	size_t length = strlen(name);

	for (uint32_t i = first->setting_count; i > 0; i--) /* the last one counts */
		if (strncmp(first->settings[i - 1], name, length) == 0)
			return first->settings[i - 1] + length;
	return otherwise;
}

/* Queues on one host want different addresses of loopback: from their ids, which are random.
 * Neither 127.0.0.1, which is everybody's, nor a broadcast address. */
static unsigned int
loopback_byte(uint64_t id)
{
	return 1 + (unsigned int)(id & 0xff) % 254;
}

static bool
write_file(const char *path, const struct standalone_first *first)
{
	char text[1024];
	uint64_t id = 0;
	uint32_t command_bytes_max = first->job_bytes_max + COMMAND_OVERHEAD;
	int length, fd;
	bool is_written;

	if (command_bytes_max < COMMAND_BYTES_MIN)
		command_bytes_max = COMMAND_BYTES_MIN;

	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return fail(path, "no random numbers");
	length = snprintf(text, sizeof(text), file_text, id, command_bytes_max, loopback_byte(id),
		loopback_byte(id >> 8), loopback_byte(id >> 16),
		setting_of(first, "local.log_bytes=", LOG_BYTES),
		setting_of(first, "local.segment_bytes=", SEGMENT_BYTES),
		setting_of(first, "queue.bytes=", QUEUE_BYTES));
	if (length >= (int)sizeof(text)) {
		errno = EINVAL;
		return fail(path, "local.log_bytes, local.segment_bytes or queue.bytes");
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(path, "cannot be written");
	is_written = write_whole(fd, text, (size_t)length);
	if (!is_written)
		(void)fail(path, "cannot be written");
	(void)close(fd); /* it is on the disk */
	return is_written;
}

static bool
sync_folder(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_synced = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		(void)close(fd); /* read only */
	return is_synced;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* What an earlier first start has left: never used, since no configuration led to it. */
static bool
remove_new(const char *path)
{
	return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}

/* Data or keys: those of this program, those of the package's node.conf, and those of nodes under
 * other names. */
static bool
is_of_node(const struct folder *f, const char *name)
{
	static const char *const names[] = { "data", "shard-0", "node" };
	size_t length = strlen(name);
	char log[sizeof(((struct dirent *)NULL)->d_name) + sizeof("/shard-0")];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	if (name[0] == '.')
		return false; /* the folder itself */
	if (length > 4 && strcmp(name + length - 4, ".key") == 0)
		return true;
	(void)snprintf(log, sizeof(log), "%s/shard-0", name); /* fits */
	return faccessat(f->fd, log, F_OK, 0) == 0;
}

/* Jobs that beanstalkd kept. Whoever gives its folder expects to find them, and would be served an
 * empty queue. */
static bool
is_of_beanstalkd(const char *name)
{
	static const char binlog[] = "binlog.";
	const char *number = name + sizeof(binlog) - 1;

	return strncmp(name, binlog, sizeof(binlog) - 1) == 0 && *number >= '0' && *number <= '9';
}

/* Clients of a node that is down must not find a queue of its own here, under the address that they
 * know, whose jobs are on this disk alone. */
static void
complain_of_owner(const struct folder *f, const char *name)
{
	exit_status = EXIT_USAGE;
	if (is_of_beanstalkd(name))
		(void)complain("%s/%s is beanstalkd's, whose binlog is not read: name another "
			       "folder (-b DIR), start beanstalkd on this one under another port, "
			       "and move its jobs with decree-queue-move",
			f->path, name);
	else
		(void)complain("%s/%s is there without %s: if a node with a configuration of its "
			       "own uses it, give that one (-c FILE; systemctl start "
			       "decreed@NAME); else name another folder (-b DIR)",
			f->path, name, f->file);
}

/* Data or keys without a configuration are somebody else's. */
static bool
is_empty(const struct folder *f)
{
	DIR *d = opendir(f->path);
	const struct dirent *entry;

	if (d == NULL)
		return fail(f->path, "cannot be read");
	do
		entry = readdir(d);
	while (entry != NULL && !is_of_beanstalkd(entry->d_name) && !is_of_node(f, entry->d_name));
	if (entry != NULL)
		complain_of_owner(f, entry->d_name);
	(void)closedir(d); /* read only */
	return entry == NULL;
}

/* Of a file with the standard values, so that a complaint is about the setting and not about a line
 * of ours. */
static bool
are_settings_sound(const char *path, const struct standalone_first *first)
{
	const struct standalone_first standard = { .job_bytes_max = first->job_bytes_max };
	char error[DECREE_ERROR_BYTES];
	struct decree_setup setup;
	int rc;

	if (!write_file(path, &standard))
		return false;
	rc = decree_setup_read(path, first->settings, first->setting_count, true, &setup, error);
	if (rc != 0)
		exit_status = complain_of(rc, error);
	return unlink(path) == 0 && rc == 0;
}

static bool
make_new(const struct folder *f, const struct standalone_first *first)
{
	char path[DECREE_PATH_BYTES], file[DECREE_PATH_BYTES];
	char error[DECREE_ERROR_BYTES];
	int rc;

	(void)snprintf(path, sizeof(path), "%s/" NEW, f->path);
	if (snprintf(file, sizeof(file), "%s/" NEW "/" STANDALONE_FILE_NAME, f->path) >=
		(int)sizeof(file)) {
		errno = ENAMETOOLONG;
		return fail(f->path, "cannot be used");
	}
	if (!remove_new(path))
		return fail(path, "cannot be removed");
	if (mkdir(path, 0700) != 0)
		return fail(path, "cannot make the folder");
	if (!are_settings_sound(file, first)) {
		(void)rmdir(path); /* empty; if not the next start removes it */
		return false;
	}
	if (!write_file(file, first))
		return false;
	rc = decree_format(file, NULL, 0, true, NULL, error);
	if (rc != 0) {
		exit_status = complain_of(rc, error);
		return false;
	}
	return sync_folder(f->fd, NEW) || fail(path, "cannot be written");
}

/* Out of MADE, as far as an earlier start has not done it. */
static bool
move_parts(const struct folder *f)
{
	int made = openat(f->fd, MADE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_done = made >= 0;

	for (size_t i = 0; i < PART_COUNT && is_done; i++) {
		/* The others are in their places before the last one is. */
		is_done = i + 1 < PART_COUNT || fsync(f->fd) == 0;
		if (is_done && renameat(made, parts[i], f->fd, parts[i]) != 0)
			is_done = errno == ENOENT;
	}
	is_done = is_done && fsync(f->fd) == 0;
	if (made >= 0)
		(void)close(made); /* read only */
	return is_done;
}

static bool
make(const struct folder *f, const struct standalone_first *first)
{
	if (faccessat(f->fd, MADE, F_OK, 0) != 0) {
		if (!is_empty(f) || !make_new(f, first))
			return false;
		if (renameat(f->fd, NEW, f->fd, MADE) != 0 || fsync(f->fd) != 0)
			return fail(f->path, "cannot be written");
	}
	return move_parts(f) || fail(f->path, "cannot be written");
}

static bool
prepare(const struct folder *f, const struct standalone_first *first)
{
	if (flock(f->fd, LOCK_EX) != 0) /* two first starts at once */
		return fail(f->path, "cannot be locked");
	if (access(f->file, F_OK) != 0 && !make(f, first))
		return false;
	(void)unlinkat(f->fd, MADE, AT_REMOVEDIR); /* empty, or not there */
	return true;
}

static bool
prepare_folder(const char *directory, const struct standalone_first *first, char *ret_path)
{
	char chosen[DECREE_PATH_BYTES];
	struct folder f = { .path = directory != NULL ? directory : chosen };
	bool is_prepared;

	if (directory == NULL && !choose_directory(chosen))
		return false;
	if (mkdir(f.path, 0700) != 0 && errno != EEXIST)
		return fail(f.path, "cannot make the folder");
	f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f.fd < 0)
		return fail(f.path, "cannot be opened");
	if (snprintf(f.file, sizeof(f.file), "%s/" STANDALONE_FILE_NAME, f.path) >=
		(int)sizeof(f.file)) {
		errno = ENAMETOOLONG;
		return fail(f.path, "cannot be used");
	}
	is_prepared = prepare(&f, first);
	(void)close(f.fd);
	if (is_prepared)
		(void)strcpy(ret_path, f.file); /* fits */
	return is_prepared;
}

int
standalone_prepare(const char *directory, const struct standalone_first *first, char *ret_path)
{
	return prepare_folder(directory, first, ret_path) ? OPTIONS_GO_ON : exit_status;
}
