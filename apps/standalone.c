/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/standalone.h"

#include "apps/options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_DIRECTORY "/var/lib/decree"

#define COMMAND_BYTES_MIN 131072 /* the engine's default */
#define COMMAND_OVERHEAD  64     /* of a put around its body, and room to spare */

/* Few sessions, since each start takes one and only the last of them lives; a node that does not sleep
 * takes a whole CPU. */
static const char file_text[] =
	"# Made by decreed: one node, no network. docs/operating.md says what may stand here.\n"
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
	"ip = 127.0.0.1\n"
	"\n"
	"[local]\n"
	"node = 1\n"
	"data_dir = data\n"
	"log_bytes = 256M\n"
	"idle = sleep\n";

/* What is in a folder, by the name of each. */
struct folder {
	int fd; /* locked while it is prepared */
	const char *path;
	char file[DECREE_PATH_BYTES];     /* decree.ini */
	char new_file[DECREE_PATH_BYTES]; /* what it is before data are there */
};

static bool
fail(const char *path, const char *what)
{
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
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int length = -1;

	if (state != NULL && state[0] == '/')
		length = snprintf(ret_path, DECREE_PATH_BYTES, "%s/decree", state);
	else if (home != NULL && home[0] == '/')
		length = snprintf(ret_path, DECREE_PATH_BYTES, "%s/.local/state/decree", home);
	if (length > 0 && length < DECREE_PATH_BYTES)
		return make_folders(ret_path) || fail(ret_path, "cannot make the folder");
	(void)complain(SYSTEM_DIRECTORY " cannot be written by this user, and it has no home: "
					"name a folder, -b DIR");
	return false;
}

static bool
choose_directory(char *ret_path)
{
	(void)strcpy(ret_path, SYSTEM_DIRECTORY); /* fits */
	if ((mkdir(ret_path, 0700) != 0 && errno != EEXIST) || access(ret_path, W_OK | X_OK) != 0)
		if (!choose_in_home(ret_path))
			return false;
	(void)fprintf(
		stderr, "decreed: jobs are kept in %s; -b DIR names another folder\n", ret_path);
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

static bool
write_file(const struct folder *f, uint32_t command_bytes_max)
{
	char text[1024];
	uint64_t id = 0;
	int length, fd;
	bool is_written;

	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return fail(f->path, "no random numbers");
	length = snprintf(text, sizeof(text), file_text, id, command_bytes_max); /* fits */
	fd = open(f->new_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(f->new_file, "cannot be written");
	is_written = write_whole(fd, text, (size_t)length);
	if (!is_written)
		(void)fail(f->new_file, "cannot be written");
	(void)close(fd); /* it is on the disk */
	return is_written;
}

/* Data without a configuration: of a node that has one elsewhere, or of a first start that was killed half-way. */
static bool
is_empty(const struct folder *f)
{
	static const char *const names[] = { "data", "shard-0" };

	for (uint32_t i = 0; i < 2; i++) {
		if (faccessat(f->fd, names[i], F_OK, 0) != 0)
			continue;
		(void)complain("%s/%s is there without %s: if a node with a configuration of its "
			       "own runs on it, give that one (-c FILE); if a first start was "
			       "killed half-way, remove the folder",
			f->path, names[i], f->file);
		return false;
	}
	return true;
}

static bool
make(const struct folder *f, uint32_t job_bytes_max)
{
	uint32_t command_bytes_max = job_bytes_max + COMMAND_OVERHEAD;
	char error[DECREE_ERROR_BYTES];

	if (command_bytes_max < COMMAND_BYTES_MIN)
		command_bytes_max = COMMAND_BYTES_MIN;
	if (!is_empty(f) || !write_file(f, command_bytes_max))
		return false;
	if (decree_format(f->new_file, NULL, 0, true, NULL, error) != 0) {
		(void)complain("%s", error);
		return false;
	}
	if (rename(f->new_file, f->file) != 0 || fsync(f->fd) != 0)
		return fail(f->file, "cannot be made");
	return true;
}

static bool
prepare(struct folder *f, uint32_t job_bytes_max)
{
	if (flock(f->fd, LOCK_EX) != 0) /* two first starts at once */
		return fail(f->path, "cannot be locked");
	if (access(f->file, F_OK) == 0)
		return true;
	return make(f, job_bytes_max);
}

bool
standalone_prepare(const char *directory, uint32_t job_bytes_max, char *ret_path)
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
	if (snprintf(f.new_file, sizeof(f.new_file), "%s/decree.ini.new", f.path) >=
		(int)sizeof(f.new_file)) {
		errno = ENAMETOOLONG;
		return fail(f.path, "cannot be used");
	}
	(void)snprintf(f.file, sizeof(f.file), "%s/decree.ini", f.path); /* fits: it is shorter */
	is_prepared = prepare(&f, job_bytes_max);
	(void)close(f.fd);
	if (is_prepared)
		(void)strcpy(ret_path, f.file); /* fits */
	return is_prepared;
}
