/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/cluster.h"

#include "decree/setup.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
fail(char *ret_error, const char *what, const char *path)
{
	int rc = -errno;

	snprintf(ret_error, DECREE_ERROR_BYTES, "%s %.200s: %s", what, path, strerror(-rc));
	return rc;
}

void
bench_cluster_config(const struct bench_cluster *c, uint32_t node_id, char *ret_path)
{
	snprintf(ret_path, 512, "%.255s/node-%u.ini", c->folder, node_id);
}

static void
write_link(FILE *file, const struct bench_cluster *c, uint32_t node_id, uint32_t peer_id)
{
	uint32_t low = node_id < peer_id ? node_id : peer_id;
	uint32_t high = node_id < peer_id ? peer_id : node_id;

	fprintf(file, "link = %u net_memif%u,role=%s,id=0,socket=%s/m%u%u,socket-abstract=no\n",
		peer_id, peer_id, node_id == low ? "server" : "client", c->folder, low, high);
}

static int
write_config(const struct bench_cluster *c, uint32_t node_id, char *ret_error)
{
	char path[512];
	FILE *file;

	bench_cluster_config(c, node_id, path);
	file = fopen(path, "we");
	if (file == NULL)
		return fail(ret_error, "cannot write", path);
	fprintf(file, "[cluster]\nid = dec0de\nauth = gmac\nkey_file = cluster.key\n");
	for (uint32_t i = 1; i <= c->node_count; i++)
		fprintf(file, "[node %u]\nip = 10.77.0.%u\n", i, i);
	fprintf(file, "[local]\nnode = %u\ndata_dir = data-%u\nlog_mode = %s\nlog_bytes = %lluM\n",
		node_id, node_id, c->mode, (unsigned long long)(c->log_bytes >> 20));
	for (uint32_t i = 1; i <= c->node_count; i++)
		if (i != node_id)
			write_link(file, c, node_id, i);
	if (fclose(file) != 0)
		return fail(ret_error, "cannot write", path);
	return 0;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status, (void)kind, (void)walk;
	return remove(path);
}

void
bench_cluster_remove(const struct bench_cluster *c)
{
	(void)nftw(c->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* a leftover harms nobody */
}

int
bench_cluster_format(const struct bench_cluster *c, char *ret_error)
{
	char path[512];
	bool has_key;
	int rc = 0;

	snprintf(path, sizeof(path), "%.255s/cluster.key", c->folder);
	has_key = access(path, F_OK) == 0;
	for (uint32_t i = 1; rc == 0 && i <= c->node_count; i++) {
		snprintf(path, sizeof(path), "%.255s/data-%u", c->folder, i);
		(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* may not be there yet */
		bench_cluster_config(c, i, path);
		rc = decree_format(path, NULL, 0, i == 1 && !has_key, NULL, ret_error);
	}
	return rc;
}

int
bench_cluster_create(struct bench_cluster *c, char *ret_error)
{
	int rc = 0;

	if (mkdtemp(c->folder) == NULL)
		return fail(ret_error, "cannot make", c->folder);
	for (uint32_t i = 1; rc == 0 && i <= c->node_count; i++)
		rc = write_config(c, i, ret_error);
	return rc;
}
