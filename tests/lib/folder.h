/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file folder.h
 * Folders that a test has made.
 */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

/** Remove it and all that is in it, as far as that goes. */
void folder_remove(const char *path);

#endif
