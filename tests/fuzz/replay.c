/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over every file of the folders given, and over each of its prefixes and
 * one-byte changes, so that a build without libFuzzer still walks the decoder's refusals.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX   (1u << 20)
#define MUTATED_BYTES_MAX 4096 /* longer inputs run as they are: the work below is quadratic */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* An exact-size copy, so that a sanitizer sees a read past the end. */
static void
run(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes > 0 ? bytes : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, bytes);
	(void)LLVMFuzzerTestOneInput(copy, bytes); /* always 0 by libFuzzer's contract */
	free(copy);
}

static void
run_variants(uint8_t *data, size_t bytes)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };

	run(data, bytes);
	if (bytes > MUTATED_BYTES_MAX)
		return;
	for (size_t i = 0; i < bytes; i++) {
		run(data, i);
		for (size_t f = 0; f < sizeof(flips); f++) {
			data[i] ^= flips[f];
			run(data, bytes);
			data[i] ^= flips[f];
		}
	}
}

static int
run_file(const char *folder, const char *name, uint8_t *buffer)
{
	char path[4096];
	size_t bytes;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name); /* a cut path fails to open */
	file = fopen(path, "rb");
	if (file == NULL) {
		perror(path);
		return 1;
	}
	bytes = fread(buffer, 1, INPUT_BYTES_MAX, file);
	(void)fclose(file); /* read only */
	run_variants(buffer, bytes);
	return 0;
}

static int
run_folder(const char *folder, uint8_t *buffer)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;
	int rc = 0;

	if (dir == NULL) {
		perror(folder);
		return 1;
	}
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		rc = run_file(folder, entry->d_name, buffer);
		count++;
	}
	(void)closedir(dir); /* read only */
	if (count == 0)
		fprintf(stderr, "%s: no inputs\n", folder);
	return rc != 0 || count == 0;
}

int
main(int argc, char **argv)
{
	uint8_t *buffer = malloc(INPUT_BYTES_MAX);
	int rc = buffer == NULL || argc < 2;

	for (int i = 1; rc == 0 && i < argc; i++)
		rc = run_folder(argv[i], buffer);
	free(buffer);
	return rc;
}
