/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct failpoint __start_failpoints[], __stop_failpoints[];

static char armed[64]; /* "" = none */
static char fault[64];
static atomic_long passes_left;

static void
copy_variable(const char *name, char ret[64])
{
	const char *value = getenv(name);

	if (value != NULL)
		snprintf(ret, 64, "%s", value);
}

static const struct failpoint *
find(const char *name)
{
	for (const struct failpoint *p = __start_failpoints; p < __stop_failpoints; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* Before main(), and so before the first thread. A name that does not exist would make a test that
 * tests nothing. */
__attribute__((constructor)) static void
failpoint_begin(void)
{
	char *colon;

	copy_variable("DECREE_FAULT", fault);
	copy_variable("DECREE_FAILPOINT", armed);
	if (strcmp(armed, "list") == 0) {
		for (const struct failpoint *p = __start_failpoints; p < __stop_failpoints; p++)
			puts(p->name);
		exit(0);
	}
	colon = strchr(armed, ':');
	atomic_init(&passes_left, colon != NULL ? atol(colon + 1) : 1);
	if (colon != NULL)
		*colon = '\0';
	if (armed[0] != '\0' && find(armed) == NULL) {
		fprintf(stderr, "failpoint: there is no %s\n", armed);
		exit(2);
	}
}

void
failpoint_pass(const struct failpoint *point)
{
	if (armed[0] == '\0' || strcmp(point->name, armed) != 0)
		return;
	if (atomic_fetch_sub(&passes_left, 1) != 1)
		return;
	dprintf(STDERR_FILENO, "failpoint: killed at %s\n", armed);
	(void)kill(getpid(), SIGKILL);
	for (;;)
		pause(); /* the signal may take another thread first */
}

bool
fault_is_set(const char *name)
{
	return strcmp(fault, name) == 0;
}
