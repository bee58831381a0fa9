/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/cluster.h"

#include "engine/runtime/config.h"
#include "engine/runtime/identity.h"
#include "wal/directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

	fprintf(file, "link = %u net_memif%u,role=%s,id=0,socket=%s/m%u%u,socket-abstract=no\n", peer_id,
		peer_id, node_id == low ? "server" : "client", c->folder, low, high);
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
format_shard(
	const struct config *config, uint16_t shard, const struct decree_uuid *disk, char *ret_error)
{
	struct identity identity = identity_of_config(config, shard, disk);
	uint8_t blob[IDENTITY_BYTES];
	char folder[CONFIG_PATH_BYTES + 16];
	struct wal_format format = {
		.identity = blob,
		.identity_bytes = IDENTITY_BYTES,
		.payload_bytes_max = config->slot_bytes,
		.log_bytes = config->log_bytes,
		.segment_bytes = config->segment_bytes,
	};

	identity_encode(&identity, blob);
	if (getrandom(&format.uuid, sizeof(format.uuid), 0) != sizeof(format.uuid))
		return fail(ret_error, "no random numbers for", config->data_dir);
	snprintf(folder, sizeof(folder), "%s/shard-%u", config->data_dir, shard);
	return wal_directory_format(folder, &format, ret_error);
}

static int
format_node(const struct bench_cluster *c, uint32_t node_id, char *ret_error)
{
	struct decree_uuid disk;
	struct config config;
	char path[512];
	int rc;

	bench_cluster_config(c, node_id, path);
	rc = config_load(path, NULL, 0, CONFIG_FOR_NODE, &config, ret_error);
	if (rc != 0)
		return rc;
	if (mkdir(config.data_dir, 0700) != 0)
		return fail(ret_error, "cannot make", config.data_dir);
	if (getrandom(&disk, sizeof(disk), 0) != sizeof(disk))
		return fail(ret_error, "no random numbers for", path);
	for (uint16_t shard = 0; rc == 0 && shard < config.shard_count; shard++)
		rc = format_shard(&config, shard, &disk, ret_error);
	return rc;
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
	int rc = 0;

	for (uint32_t i = 1; rc == 0 && i <= c->node_count; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%.255s/data-%u", c->folder, i);
		(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* may not be there yet */
		rc = format_node(c, i, ret_error);
	}
	return rc;
}

int
bench_cluster_create(struct bench_cluster *c, char *ret_error)
{
	char key[512];
	int rc;

	if (mkdtemp(c->folder) == NULL)
		return fail(ret_error, "cannot make", c->folder);
	snprintf(key, sizeof(key), "%.255s/cluster.key", c->folder);
	rc = config_key_create(key, ret_error);
	for (uint32_t i = 1; rc == 0 && i <= c->node_count; i++)
		rc = write_config(c, i, ret_error);
	return rc;
}
