/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/folder.h"

#include <ftw.h>
#include <stdio.h>

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

void
folder_remove(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what is left is in /var/tmp */
}
