/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes the next build out of the objects of this one: it speaks one version more. Linked
 * before the library, this takes the place of base/version.c. All that a version changes without a
 * line of code follows from it: the version of data frames between such nodes, of the log's pages
 * and of snapshots, and that the states of nodes differ that do not agree since when a cluster is
 * of that version.
 */
#include "base/version.h"

const struct versions base_versions = { .min = VERSION_FIRST, .max = 2 };
