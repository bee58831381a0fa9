/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/outputs.h"

#include "apps/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ before */

/* What is there stays as it is until there is something to write. */
static int
check_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		return close(fd); /* nothing was written */
	if (errno == ENOENT)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return complain("%s: %s", path, strerror(errno));
	(void)close(fd); /* as above */
	(void)unlink(path);
	return EXIT_SUCCESS;
}

static int
check_folder(const char *path)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s/", path) >= (int)sizeof(part))
		return complain("%s: %s", path, strerror(ENAMETOOLONG));
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, 0777); /* it may be there; if not, the last one tells */
		*slash = '/';
	}
	return access(part, W_OK | X_OK) == 0 ? EXIT_SUCCESS
					      : complain("%s: %s", path, strerror(errno));
}

int
outputs_check(const struct bench_outputs *o)
{
	int status = o->plot == NULL ? EXIT_SUCCESS : check_folder(o->plot);

	if (status == EXIT_SUCCESS && o->json != NULL)
		status = check_file(o->json);
	if (status == EXIT_SUCCESS && o->hgrm != NULL)
		status = check_file(o->hgrm);
	return status;
}

/* ------------------------------------------------------------------------------ behind */

/* decree-bench-plot, which is beside this program. */
static int
draw(const char *json, const char *folder)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("-plot"));
	int status;
	pid_t pid;

	if (length <= 0)
		return complain("where is this program?");
	(void)strcpy(path + length, "-plot"); /* room was kept */
	(void)fflush(NULL);                   /* or a child would print it again */
	pid = fork();
	if (pid == 0) {
		(void)execl(path, path, json, folder, (char *)NULL);
		(void)complain("%s: %s", path, strerror(errno));
		_exit(EXIT_FAILURE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return complain("no plots were drawn");
	return EXIT_SUCCESS;
}

int
outputs_write(const struct bench_outputs *o, const struct results *r)
{
	char path[PATH_MAX];
	const char *json = o->json;
	int rc;

	if (o->plot != NULL && json == NULL) {
		(void)snprintf(path, sizeof(path), "%s/results.json",
			o->plot); /* fits: see check_folder() */
		json = path;
	}
	rc = json == NULL ? 0 : results_write_json(r, json);
	if (rc != 0)
		return complain("%s: %s", json, strerror(-rc));
	rc = o->hgrm == NULL ? 0 : results_write_hgrm(r, o->hgrm);
	if (rc != 0)
		return complain("%s: %s", o->hgrm, strerror(-rc));
	return o->plot == NULL ? EXIT_SUCCESS : draw(json, o->plot);
}
