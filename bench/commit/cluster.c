/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/cluster.h"

#include "bench/ports.h"
#include "decree/setup.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a packet of `mtu` bytes, headers; and what slots have at most: what [cluster] slot_bytes
 * takes. */
#define SLOT_OVERHEAD  172
#define SLOT_BYTES_MAX 8192

#define LOG_BYTES_USUAL (256ull << 20) /* smaller ones need smaller segments than the usual ones */

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

	fprintf(file, "link = %u net_memif%u,role=%s,id=0,socket=%s/m%u%u,socket-abstract=no%s\n",
		peer_id, peer_id, node_id == low ? "server" : "client", c->folder, low, high,
		c->shape.mtu > PLAN_MTU_MIN ? ",bsize=9216" : "");
}

static void
write_ports(FILE *file, const struct bench_cluster *c, uint32_t node_id)
{
	if (c->shape.joined_by == PLAN_AF_PACKET)
		fprintf(file, "port = net_af_packet0,iface=node%u%s\n", node_id,
			c->shape.mtu > PLAN_MTU_MIN ? ",blocksz=36864,framesz=9216,framecnt=512"
						    : "");
	else if (c->shape.joined_by == PLAN_AF_XDP)
		fprintf(file, "port = net_af_xdp0,iface=node%u,start_queue=0,queue_count=1\n",
			node_id);
	for (uint32_t i = 1; c->shape.joined_by == PLAN_MEMIF && i <= c->shape.node_count; i++)
		if (i != node_id)
			write_link(file, c, node_id, i);
}

/* The CPUs of this node's shards, where there are enough for all. */
static void
write_cpus(FILE *file, const struct bench_cluster *c, uint32_t node_id)
{
	uint32_t first = (node_id - 1) * c->shape.shard_count;

	if (c->cpu_count < c->shape.node_count * c->shape.shard_count)
		return;
	fprintf(file, "cpus = ");
	for (uint32_t i = 0; i < c->shape.shard_count; i++)
		fprintf(file, "%s%u", i == 0 ? "" : ",", c->cpus[first + i]);
	fprintf(file, "\n");
}

/* A power of two, as the engine wants it. */
static uint32_t
session_window(const struct bench_cluster *c)
{
	uint32_t window = 4096;

	while (window < c->in_flight)
		window *= 2;
	return window;
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
	fprintf(file, "[cluster]\nid = dec0de\nauth = %s\nkey_file = cluster.key\nshards = %u\n",
		c->shape.has_auth ? "gmac" : "none", c->shape.shard_count);
	if (c->shape.mtu > PLAN_MTU_MIN)
		fprintf(file, "mtu = %u\nslot_bytes = %u\n", c->shape.mtu,
			c->shape.mtu - SLOT_OVERHEAD < SLOT_BYTES_MAX ? c->shape.mtu - SLOT_OVERHEAD
								      : SLOT_BYTES_MAX);
	if (c->has_clients)
		fprintf(file, "client_key_file = client.key\n");
	fprintf(file, "session_window = %u\n", session_window(c));
	for (uint32_t i = 1; i <= c->shape.node_count; i++)
		fprintf(file, "[node %u]\nip = 10.77.0.%u\n", i, i);
	fprintf(file, "[metrics]\nlisten = 127.0.0.1:%u\n", c->metrics_ports[node_id - 1]);
	if (c->shape.has_snapshots)
		fprintf(file, "[snapshot]\ninterval_slots = 1\n");
	fprintf(file, "[local]\nnode = %u\ndata_dir = data-%u\nlog_mode = %s\nlog_bytes = %lluM\n",
		node_id, node_id, plan_mode_word(c->shape.mode),
		(unsigned long long)(c->log_bytes >> 20));
	if (c->log_bytes < LOG_BYTES_USUAL)
		fprintf(file, "segment_bytes = %lluM\n", (unsigned long long)(c->log_bytes >> 22));
	write_cpus(file, c, node_id);
	write_ports(file, c, node_id);
	if (c->has_clients)
		fprintf(file, "port = net_af_packet0,iface=n%u\n", node_id);
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
bench_cluster_format(struct bench_cluster *c, char *ret_error)
{
	char path[512];
	int rc = ports_choose(c->metrics_ports, c->shape.node_count);

	if (rc != 0)
		snprintf(ret_error, DECREE_ERROR_BYTES, "no port for metrics: %s", strerror(-rc));
	snprintf(path, sizeof(path), "%.255s/cluster.key", c->folder);
	(void)unlink(path); /* may not be there yet */
	snprintf(path, sizeof(path), "%.255s/client.key", c->folder);
	(void)unlink(path);
	for (uint32_t i = 1; rc == 0 && i <= c->shape.node_count; i++) {
		snprintf(path, sizeof(path), "%.255s/data-%u", c->folder, i);
		(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* may not be there yet */
		rc = write_config(c, i, ret_error);
		bench_cluster_config(c, i, path);
		if (rc == 0)
			rc = decree_format(path, c->settings, c->setting_count,
				i == 1 && c->shape.has_auth, NULL, ret_error);
		/* Or the first load that fills the log waits for the file system, and the second
		 * does not. */
		if (rc == 0 && c->shape.mode != PLAN_MEMORY && !c->is_not_prewritten)
			rc = decree_prewrite(
				path, c->settings, c->setting_count, NULL, NULL, ret_error);
	}
	return rc;
}

int
bench_cluster_create(struct bench_cluster *c, char *ret_error)
{
	return mkdtemp(c->folder) == NULL ? fail(ret_error, "cannot make", c->folder) : 0;
}
