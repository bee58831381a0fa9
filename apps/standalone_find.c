/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/standalone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
standalone_home(char ret_path[DECREE_PATH_BYTES])
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int length = -1;

	if (state != NULL && state[0] == '/')
		length = snprintf(ret_path, DECREE_PATH_BYTES, "%s/decree", state);
	else if (home != NULL && home[0] == '/')
		length = snprintf(ret_path, DECREE_PATH_BYTES, "%s/.local/state/decree", home);
	return length > 0 && length < DECREE_PATH_BYTES;
}

/* @return whether this user may read a configuration there */
static bool
is_made_in(const char *directory, char *ret_path)
{
	int length = snprintf(ret_path, DECREE_PATH_BYTES, "%s/" STANDALONE_FILE_NAME, directory);

	return length < DECREE_PATH_BYTES && access(ret_path, R_OK) == 0;
}

bool
standalone_find(char ret_path[DECREE_PATH_BYTES])
{
	char home[DECREE_PATH_BYTES];

	/* Where this user's own decreed keeps what it has; then somebody else's, who lets it be
	 * read. */
	if (access(STANDALONE_SYSTEM_DIRECTORY, W_OK | X_OK) == 0 &&
		is_made_in(STANDALONE_SYSTEM_DIRECTORY, ret_path))
		return true;
	if (standalone_home(home) && is_made_in(home, ret_path))
		return true;
	return is_made_in(STANDALONE_SYSTEM_DIRECTORY, ret_path);
}
