/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/config_table.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const char *const auth_words[] = { "gmac", "none", NULL };
static const char *const log_mode_words[] = { "durable", "buffered", "memory", NULL };
static const char *const idle_words[] = { "auto", "spin", "yield", "sleep", NULL };
static const char *const no_yes_words[] = { "no", "yes", NULL };
static const char *const hugepages_words[] = { "auto", "no", NULL };

#define CLUSTER(name, kind, field, ...)                                                            \
	{                                                                                          \
		CONFIG_SECTION_CLUSTER, name, kind, offsetof(struct config, field), __VA_ARGS__    \
	}
#define NODE(name, kind, field, ...)                                                               \
	{                                                                                          \
		CONFIG_SECTION_NODE, name, kind, offsetof(struct config_node, field), __VA_ARGS__  \
	}
#define LOCAL(name, kind, field, ...)                                                              \
	{                                                                                          \
		CONFIG_SECTION_LOCAL, name, kind, offsetof(struct config, field), __VA_ARGS__      \
	}

#define SNAPSHOT(name, kind, field, ...)                                                           \
	{                                                                                          \
		CONFIG_SECTION_SNAPSHOT, name, kind, offsetof(struct config, field), __VA_ARGS__   \
	}
#define QUEUE(name, kind, field, ...)                                                              \
	{                                                                                          \
		CONFIG_SECTION_QUEUE, name, kind, offsetof(struct config, field), __VA_ARGS__      \
	}
#define METRICS(name, kind, field, ...)                                                            \
	{                                                                                          \
		CONFIG_SECTION_METRICS, name, kind, offsetof(struct config, field), __VA_ARGS__    \
	}

const struct config_key config_keys[] = {
	CLUSTER("id", CONFIG_HEX, cluster_id, 1, UINT64_MAX),
	CLUSTER("name", CONFIG_TEXT, name, 0, 0),
	CLUSTER("auth", CONFIG_WORD, auth, 0, 0, auth_words),
	CLUSTER("key_file", CONFIG_PATH, key_file, 0, 0),
	CLUSTER("client_key_file", CONFIG_PATH, client_key_file, 0, 0),
	CLUSTER("key_file_also", CONFIG_PATH, key_file_also, 0, 0),
	CLUSTER("client_key_file_also", CONFIG_PATH, client_key_file_also, 0, 0),
	CLUSTER("admin", CONFIG_WORD, admin, 0, 0, no_yes_words),
	CLUSTER("shards", CONFIG_COUNT, shard_count, 1, DECREE_SHARD_COUNT_MAX),
	CLUSTER("groups", CONFIG_COUNT, group_count, 1, DECREE_GROUP_COUNT_MAX),
	CLUSTER("slot_bytes", CONFIG_COUNT, slot_bytes, 512, 8192),
	CLUSTER("alpha", CONFIG_COUNT, alpha, 16, 65536),
	CLUSTER("window_slots", CONFIG_COUNT, window_slots, 1, 65536),
	CLUSTER("command_bytes_max", CONFIG_COUNT, command_bytes_max, 16, 4194304),
	CLUSTER("session_count", CONFIG_COUNT, session_count, 1, 65534),
	CLUSTER("session_window", CONFIG_COUNT, session_window, 1024, 65536),
	CLUSTER("session_idle_slots", CONFIG_COUNT, session_idle_slots, 1, 4294967295u),
	CLUSTER("digest_slots", CONFIG_COUNT, digest_slots, 16, 1048576),
	CLUSTER("heartbeat_ms", CONFIG_MS, heartbeat_ns, 1, 10000),
	CLUSTER("election_ms", CONFIG_MS, election_ns, 10, 100000),
	CLUSTER("disk_stall_ms", CONFIG_MS, disk_stall_ns, 10, 100000),
	CLUSTER("lease_ms", CONFIG_MS, lease_ns, 0, 100000),
	CLUSTER("max_drift_ppm", CONFIG_COUNT, max_drift_ppm, 1, 100000),
	CLUSTER("base_port", CONFIG_COUNT, base_port, 1, 65535),
	CLUSTER("mtu", CONFIG_COUNT, mtu, 1500, 9000),
	CLUSTER("q1", CONFIG_COUNT, q1, 1, DECREE_NODE_COUNT_MAX),
	CLUSTER("q2", CONFIG_COUNT, q2, 1, DECREE_NODE_COUNT_MAX),

	NODE("ip", CONFIG_IPV4, ipv4, 0, 0),
	NODE("mac", CONFIG_MAC, mac, 0, 0),
	NODE("joins", CONFIG_WORD, joins, 0, 0, no_yes_words),

	LOCAL("node", CONFIG_NODE_ID, node_id, 1, 65535),
	LOCAL("data_dir", CONFIG_PATH, data_dir, 0, 0),
	LOCAL("log_mode", CONFIG_WORD, log_mode, 0, 0, log_mode_words),
	LOCAL("log_bytes", CONFIG_SIZE, log_bytes, 4 * MIB, 1024 * GIB),
	LOCAL("segment_bytes", CONFIG_SIZE, segment_bytes, 1 * MIB, 4 * GIB),
	LOCAL("scrub_rate_mb", CONFIG_COUNT, scrub_rate_mb, 0, 100000),
	LOCAL("port", CONFIG_PORT, ports, 0, 0),
	LOCAL("link", CONFIG_LINK, ports, 0, 0),
	LOCAL("cpus", CONFIG_CPUS, cpus, 0, 1023),
	LOCAL("control_cpu", CONFIG_CPU, control_cpu, 0, 1023),
	LOCAL("idle", CONFIG_WORD, idle, 0, 0, idle_words),
	LOCAL("hugepages", CONFIG_WORD, hugepages, 0, 0, hugepages_words),
	LOCAL("eal_arg", CONFIG_EAL_ARG, eal_args, 0, 0),

	SNAPSHOT("directory", CONFIG_PATH, snapshot_dir, 0, 0),
	SNAPSHOT("rate_mb", CONFIG_COUNT, snapshot_rate_mb, 1, 100000),
	SNAPSHOT("interval_slots", CONFIG_COUNT, snapshot_interval_slots, 0, UINT32_MAX),

	QUEUE("bytes", CONFIG_SIZE, queue_bytes, 1 * MIB, 512 * GIB),
	QUEUE("job_bytes", CONFIG_COUNT, job_bytes_max, 1, 4194240),
	QUEUE("listen", CONFIG_LISTEN, listens, 0, 0),
	QUEUE("tls_cert", CONFIG_PATH, tls_cert, 0, 0),
	QUEUE("tls_key", CONFIG_PATH, tls_key, 0, 0),
	QUEUE("tls_ca", CONFIG_PATH, tls_ca, 0, 0),
	QUEUE("unquoted_yaml", CONFIG_WORD, unquoted_yaml, 0, 0, no_yes_words),

	METRICS("listen", CONFIG_ADDRESS, metrics_listen, 0, 0),
};

const uint32_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

const struct config_key *
config_key_find(enum config_section section, const char *name)
{
	for (uint32_t i = 0; i < config_key_count; i++)
		if (config_keys[i].section == section && strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	return NULL;
}

bool
config_key_is_repeatable(const struct config_key *key)
{
	return key->kind == CONFIG_PORT || key->kind == CONFIG_LINK ||
	       key->kind == CONFIG_EAL_ARG || key->kind == CONFIG_LISTEN;
}

/* Levenshtein's distance; names are short. */
static uint32_t
edit_distance(const char *a, const char *b)
{
	uint32_t row[64];
	size_t length = strlen(b);

	if (length >= 64 || strlen(a) >= 64)
		return UINT32_MAX;
	for (uint32_t j = 0; j <= length; j++)
		row[j] = j;
	for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
		uint32_t diagonal = row[0];

		row[0] = i;
		for (uint32_t j = 1; j <= length; j++) {
			uint32_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[length];
}

/* Close enough to be meant: no more than every other character differs. */
static bool
is_closer(const char *name, const char *known, uint32_t *best)
{
	uint32_t distance = edit_distance(name, known);

	if (distance >= *best || distance > (strlen(known) + 1) / 2)
		return false;
	*best = distance;
	return true;
}

const char *
config_key_nearest(enum config_section section, const char *name)
{
	const char *nearest = NULL;
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < config_key_count; i++)
		if (config_keys[i].section == section &&
			is_closer(name, config_keys[i].name, &best))
			nearest = config_keys[i].name;
	return nearest;
}

const char *
config_section_nearest(const char *name)
{
	static const char *const known[] = { "cluster", "local", "metrics", "node N", "queue",
		"snapshot" };
	const char *nearest = NULL;
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (is_closer(name, known[i], &best))
			nearest = known[i];
	return nearest;
}

/* Values. Each reader returns false and says in `want` what it would have taken. */

static bool
read_unsigned(const char *text, int base, uint64_t *ret)
{
	char *end;

	if (!isxdigit((unsigned char)text[0]))
		return false; /* strtoull would take a sign and leading space */
	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && *end == '\0';
}

static bool
read_in_range(const struct config_key *key, const char *text, uint64_t *ret, char *want)
{
	if (read_unsigned(text, 10, ret) && *ret >= key->min && *ret <= key->max)
		return true;
	(void)snprintf(want, DECREE_ERROR_BYTES, "a whole number from %llu to %llu%s",
		(unsigned long long)key->min, (unsigned long long)key->max,
		key->kind == CONFIG_MS ? " (milliseconds)" : "");
	return false;
}

static bool
read_hex(const char *text, uint64_t *ret, char *want)
{
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	if (read_unsigned(text, 16, ret) && *ret != 0)
		return true;
	(void)snprintf(want, DECREE_ERROR_BYTES,
		"1 to 16 hexadecimal digits, not all 0 (for a new cluster: openssl rand -hex 8)");
	return false;
}

static bool
read_size(const struct config_key *key, const char *text, uint64_t *ret, char *want)
{
	static const char suffixes[] = "KMG";
	char digits[24];
	size_t length = strlen(text);
	const char *suffix =
		length > 0 ? strchr(suffixes, toupper((unsigned char)text[length - 1])) : NULL;
	uint32_t shift = suffix != NULL ? 10 * (uint32_t)(suffix - suffixes + 1) : 0;

	length -= suffix != NULL;
	if (length < sizeof(digits)) {
		memcpy(digits, text, length);
		digits[length] = '\0';
		if (read_unsigned(digits, 10, ret) && *ret <= key->max >> shift) {
			*ret <<= shift;
			if (*ret >= key->min && *ret % MIB == 0)
				return true;
		}
	}
	(void)snprintf(want, DECREE_ERROR_BYTES,
		"a multiple of 1M from %lluM to %lluM, for example 256M or 1G",
		(unsigned long long)(key->min / MIB), (unsigned long long)(key->max / MIB));
	return false;
}

static bool
read_word(const struct config_key *key, const char *text, uint32_t *ret, char *want)
{
	size_t used;

	for (uint32_t i = 0; key->words[i] != NULL; i++)
		if (strcmp(key->words[i], text) == 0) {
			*ret = i;
			return true;
		}
	used = (size_t)snprintf(want, DECREE_ERROR_BYTES, "one of");
	for (uint32_t i = 0; key->words[i] != NULL; i++)
		used += (size_t)snprintf(want + used, DECREE_ERROR_BYTES - used, "%s '%s'",
			i > 0 ? "," : "", key->words[i]);
	return false;
}

static bool
read_text(const char *text, char *ret, char *want)
{
	if (text[0] != '\0' && strlen(text) < CONFIG_TEXT_BYTES) {
		(void)strcpy(ret, text); /* fits: checked */
		return true;
	}
	(void)snprintf(want, DECREE_ERROR_BYTES, "1 to %d bytes of text", CONFIG_TEXT_BYTES - 1);
	return false;
}

static bool
read_path(const char *file, const char *text, char *ret, char *want)
{
	const char *slash = strrchr(file, '/');
	int folder_bytes = text[0] != '/' && slash != NULL ? (int)(slash - file) + 1 : 0;
	int length = snprintf(ret, CONFIG_PATH_BYTES, "%.*s%s", folder_bytes, file, text);

	if (text[0] != '\0' && length < CONFIG_PATH_BYTES)
		return true;
	ret[0] = '\0';
	(void)snprintf(
		want, DECREE_ERROR_BYTES, "a path of at most %d bytes", CONFIG_PATH_BYTES - 1);
	return false;
}

static bool
read_ipv4(const char *text, uint32_t *ret, char *want)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) == 1) {
		*ret = ntohl(address.s_addr);
		if (*ret != 0 && *ret >> 28 < 14) /* neither multicast nor broadcast */
			return true;
	}
	(void)snprintf(
		want, DECREE_ERROR_BYTES, "an IPv4 address of one host, for example 10.0.0.1");
	return false;
}

static bool
read_mac(const char *text, struct config_node *node, char *want)
{
	unsigned int b[6];
	char rest;

	if (strlen(text) == 17 &&
		sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
			&rest) == 6 &&
		(b[0] & 1) == 0) {
		for (uint32_t i = 0; i < 6; i++)
			node->mac[i] = (uint8_t)b[i];
		node->has_mac = true;
		return true;
	}
	(void)snprintf(
		want, DECREE_ERROR_BYTES, "a unicast MAC address, for example 02:00:00:00:00:01");
	return false;
}

static bool
read_cpu_range(const char *text, const struct config_key *key, struct config *c)
{
	char *dash = strchr(text, '-');
	uint64_t first;
	uint64_t last;

	if (dash != NULL)
		*dash = '\0';
	if (!read_unsigned(text, 10, &first))
		return false;
	last = first;
	if (dash != NULL && !read_unsigned(dash + 1, 10, &last))
		return false;
	if (first > last || last > key->max)
		return false;
	for (; first <= last; first++) {
		if (c->cpu_count == DECREE_SHARD_COUNT_MAX)
			return false;
		c->cpus[c->cpu_count++] = (uint16_t)first;
	}
	return true;
}

static bool
read_cpus(const struct config_key *key, const char *text, struct config *c, char *want)
{
	char copy[CONFIG_TEXT_BYTES];
	char *save = NULL;
	bool ok = strlen(text) < sizeof(copy);

	c->cpu_count = 0;
	if (ok)
		(void)strcpy(copy, text); /* fits: checked */
	for (char *part = ok ? strtok_r(copy, ", \t", &save) : NULL; ok && part != NULL;
		part = strtok_r(NULL, ", \t", &save))
		ok = read_cpu_range(part, key, c);
	if (ok && c->cpu_count > 0)
		return true;
	(void)snprintf(want, DECREE_ERROR_BYTES,
		"a list of CPUs, one for each shard, for example 2,3 or 4-7");
	return false;
}

static bool
read_device(const char *text, uint16_t peer_id, struct config *c, char *want)
{
	struct config_port *port = &c->ports[c->port_count];

	if (!read_text(text, port->device, want))
		return false;
	port->peer_id = peer_id;
	c->port_count++;
	return true;
}

static bool
read_link(const char *text, struct config *c, char *want)
{
	char *end;
	unsigned long peer_id;

	if (isdigit((unsigned char)text[0])) {
		peer_id = strtoul(text, &end, 10);
		if (peer_id >= 1 && peer_id <= UINT16_MAX && (*end == ' ' || *end == '\t')) {
			end += strspn(end, " \t");
			return read_device(end, (uint16_t)peer_id, c, want);
		}
	}
	(void)snprintf(want, DECREE_ERROR_BYTES,
		"a node id and a device, for example: link = 2 "
		"net_memif0,role=server,socket=/run/m.sock");
	return false;
}

/* The numbers of the address are looked at when it is bound; a port, or a path, must be there. */
static bool
is_listen(const char *text)
{
	const char *colon;
	uint64_t port;

	if (strncmp(text, "unix:", 5) == 0)
		return text[5] != '\0';
	if (strncmp(text, "tls:", 4) == 0)
		text += 4;
	colon = strrchr(text, ':');
	return colon != NULL && colon > text && read_unsigned(colon + 1, 10, &port) &&
	       port <= UINT16_MAX;
}

static bool
read_listen(const char *text, struct config *c, char *want)
{
	if (is_listen(text)) {
		if (!read_text(text, c->listens[c->listen_count], want))
			return false;
		c->listen_count++;
		return true;
	}
	(void)snprintf(want, DECREE_ERROR_BYTES,
		"an address and a port, for example 127.0.0.1:11300, [::1]:11300 or "
		"tls:10.0.0.1:11301, or unix:/run/decree.sock");
	return false;
}

static bool
read_address(const char *text, char *ret, char *want)
{
	if (is_listen(text) && strncmp(text, "unix:", 5) != 0 && strncmp(text, "tls:", 4) != 0)
		return read_text(text, ret, want);
	(void)snprintf(want, DECREE_ERROR_BYTES,
		"an address and a port, for example 127.0.0.1:9464 or [::1]:9464");
	return false;
}

static bool
read_into(const struct config_key *key, const char *text, void *at, struct config *c,
	struct config_node *node, char *want)
{
	uint64_t number = 0;

	switch (key->kind) {
	case CONFIG_HEX: return read_hex(text, at, want);
	case CONFIG_SIZE: return read_size(key, text, at, want);
	case CONFIG_TEXT: return read_text(text, at, want);
	case CONFIG_PATH: return read_path(c->path, text, at, want);
	case CONFIG_WORD: return read_word(key, text, at, want);
	case CONFIG_IPV4: return read_ipv4(text, at, want);
	case CONFIG_MAC: return read_mac(text, node, want);
	case CONFIG_CPUS: return read_cpus(key, text, c, want);
	case CONFIG_PORT: return read_device(text, 0, c, want);
	case CONFIG_LINK: return read_link(text, c, want);
	case CONFIG_EAL_ARG:
		return read_text(text, c->eal_args[c->eal_arg_count], want) &&
		       ++c->eal_arg_count > 0;
	case CONFIG_LISTEN: return read_listen(text, c, want);
	case CONFIG_ADDRESS: return read_address(text, at, want);
	case CONFIG_COUNT:
	case CONFIG_CPU:
	case CONFIG_NODE_ID:
	case CONFIG_MS: break;
	}
	if (!read_in_range(key, text, &number, want))
		return false;
	if (key->kind == CONFIG_MS)
		*(uint64_t *)at = number * 1000000;
	else if (key->kind == CONFIG_NODE_ID)
		*(uint16_t *)at = (uint16_t)number;
	else
		*(uint32_t *)at = (uint32_t)number;
	return true;
}

int
config_value_read(const struct config_key *key, const char *text, struct config *c,
	struct config_node *node, char *ret_want)
{
	uint8_t *base = key->section == CONFIG_SECTION_NODE ? (uint8_t *)node : (uint8_t *)c;

	if ((key->kind == CONFIG_PORT || key->kind == CONFIG_LINK) &&
		c->port_count == CONFIG_PORT_COUNT_MAX)
		return -E2BIG;
	if (key->kind == CONFIG_EAL_ARG && c->eal_arg_count == CONFIG_EAL_ARG_COUNT_MAX)
		return -E2BIG;
	if (key->kind == CONFIG_LISTEN && c->listen_count == CONFIG_LISTEN_COUNT_MAX)
		return -E2BIG;
	return read_into(key, text, base + key->offset_bytes, c, node, ret_want) ? 0 : -EINVAL;
}
