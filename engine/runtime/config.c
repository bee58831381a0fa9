/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the configuration: libinih splits lines into names and values, config_table.c knows the
 * names and reads the values, config_check.c looks at how they fit together.
 *
 * libinih calls our reader once per line, so the reader knows the number of the line that a handler
 * is called for; it also meets the section headers, of which libinih reports only those with keys.
 * Two of libinih's habits are kept away from the operator: lines over 199 bytes, which it would cut
 * in silence, are refused first, and leading space, which would continue the value of the line
 * above, is stripped.
 */
#include "engine/runtime/config.h"

#include "engine/runtime/config_check.h"
#include "engine/runtime/config_table.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1u << 20)
#define KEYS_MAX       64

struct parser {
	struct config *c;
	const char *text;
	size_t bytes;
	size_t at;
	uint32_t line; /* of what is being read, from 1; 0: a setting */
	const char *setting;
	enum config_section section;
	struct config_node *node;                  /* section NODE */
	uint32_t node_line[DECREE_NODE_COUNT_MAX]; /* of its header; 0: from a setting */
	uint32_t key_line[DECREE_NODE_COUNT_MAX + 1]
			 [KEYS_MAX];     /* first use; row 0: not of a node */
	bool is_list_replaced[KEYS_MAX]; /* a setting has emptied the file's list */
	int rc;
	char *error;
};

/* The first error is the one that is reported. */
__attribute__((format(printf, 3, 4))) static void
fail(struct parser *p, int rc, const char *format, ...)
{
	size_t used;
	va_list args;

	if (p->rc != 0)
		return;
	p->rc = rc;
	if (p->line > 0)
		used = (size_t)snprintf(
			p->error, DECREE_ERROR_BYTES, "%.300s:%u: ", p->c->path, p->line);
	else
		used = (size_t)snprintf(
			p->error, DECREE_ERROR_BYTES, "setting '%.100s': ", p->setting);
	va_start(args, format);
	(void)vsnprintf(
		p->error + used, DECREE_ERROR_BYTES - used, format, args); /* cut if too long */
	va_end(args);
}

static void
config_defaults(struct config *c, const char *path)
{
	*c = (struct config){
		.auth = CONFIG_AUTH_GMAC,
		.admin = CONFIG_ADMIN_YES,
		.shard_count = 1,
		.slot_bytes = 1328, /* + CONFIG_SLOT_OVERHEAD_BYTES = 1,500 */
		.alpha = 1024,
		.window_slots = 256,
		.command_bytes_max = 131072,
		.session_count = 512,
		.session_window = 4096,
		.session_idle_slots = 1024,
		.digest_slots = 4096,
		.heartbeat_ns = 20000000,
		.election_ns = 200000000,
		.max_drift_ppm = 1000,
		.disk_stall_ns = 1000000000,
		.base_port = 7400,
		.mtu = 1500,
		.log_mode = DECREE_LOG_DURABLE,
		.log_bytes = 1ull << 30,
		.segment_bytes = 64ull << 20,
		.control_cpu = -1,
		.idle = DECREE_IDLE_AUTO,
		.snapshot_rate_mb = 150,
		.scrub_rate_mb = 1,
		.queue_bytes = 1ull << 30,
		.job_bytes_max = 65535,
	};
	(void)snprintf(c->path, sizeof(c->path), "%s", path); /* its length was checked */
}

/* Sections */

static void
enter_node(struct parser *p, unsigned long node_id)
{
	struct config *c = p->c;

	if (node_id < 1 || node_id > UINT16_MAX) {
		fail(p, -EINVAL, "node id %lu: write [node N] with N from 1 to 65535", node_id);
		return;
	}
	for (uint32_t i = 0; i < c->node_count; i++)
		if (c->nodes[i].node_id == node_id) {
			p->node = &c->nodes[i];
			if (p->line > 0)
				fail(p, -EINVAL,
					"node %lu is described twice (first in line %u): give each "
					"node an id of its own",
					node_id, p->node_line[i]);
			return;
		}
	if (p->line == 0)
		fail(p, -EINVAL, "there is no [node %lu] in %s", node_id, c->path);
	else if (c->node_count == DECREE_NODE_COUNT_MAX)
		fail(p, -EINVAL, "more than %d nodes: a cluster has 1 to %d", DECREE_NODE_COUNT_MAX,
			DECREE_NODE_COUNT_MAX);
	if (p->rc != 0)
		return;
	p->node_line[c->node_count] = p->line;
	p->node = &c->nodes[c->node_count++];
	p->node->node_id = (uint16_t)node_id;
}

static void
enter_section(struct parser *p, const char *name)
{
	const char *nearest;
	unsigned long node_id;
	char rest;

	p->node = NULL;
	if (strcmp(name, "cluster") == 0) {
		p->section = CONFIG_SECTION_CLUSTER;
	} else if (strcmp(name, "local") == 0) {
		p->section = CONFIG_SECTION_LOCAL;
	} else if (strcmp(name, "snapshot") == 0) {
		p->section = CONFIG_SECTION_SNAPSHOT;
	} else if (strcmp(name, "queue") == 0) {
		p->section = CONFIG_SECTION_QUEUE;
	} else if (strcmp(name, "metrics") == 0) {
		p->section = CONFIG_SECTION_METRICS;
	} else if (sscanf(name, "node %lu%c", &node_id, &rest) == 1 ||
		   sscanf(name, "node.%lu%c", &node_id, &rest) == 1) {
		p->section = CONFIG_SECTION_NODE;
		enter_node(p, node_id);
	} else {
		nearest = config_section_nearest(name);
		fail(p, -EINVAL, "unknown section [%.50s]; %s%s%s", name,
			nearest != NULL ? "did you mean ["
					: "there are [cluster], [node N], [local], [snapshot], "
					  "[queue] and [metrics",
			nearest != NULL ? nearest : "", nearest != NULL ? "]?" : "]");
	}
}

/* Keys */

static const char *
section_name(const struct parser *p)
{
	static const char *const names[] = { "", "[cluster]", "[node N]", "[local]", "[snapshot]",
		"[queue]", "[metrics]" };

	return names[p->section];
}

static void
fail_unknown_key(struct parser *p, const char *name)
{
	const char *nearest = config_key_nearest(p->section, name);

	if (p->section == CONFIG_SECTION_NONE)
		fail(p, -EINVAL, "'%.50s' stands before any section: begin with [cluster]", name);
	else if (nearest != NULL)
		fail(p, -EINVAL, "%s has no key '%.50s'; did you mean '%s'?", section_name(p), name,
			nearest);
	else
		fail(p, -EINVAL,
			"%s has no key '%.50s', or no longer: 'man decree.conf' lists them all",
			section_name(p), name);
}

static void
list_clear(struct parser *p, const struct config_key *key)
{
	struct config *c = p->c;
	uint32_t kept = 0;

	if (key->kind == CONFIG_EAL_ARG) {
		c->eal_arg_count = 0;
		return;
	}
	if (key->kind == CONFIG_LISTEN) {
		c->listen_count = 0;
		return;
	}
	for (uint32_t i = 0; i < c->port_count; i++)
		if ((c->ports[i].peer_id == 0) != (key->kind == CONFIG_PORT))
			c->ports[kept++] = c->ports[i];
	c->port_count = kept;
}

/* One key may be given once; a setting may replace it, and replaces a list as a whole. */
static void
note_use(struct parser *p, const struct config_key *key)
{
	uint32_t index = (uint32_t)(key - config_keys);
	uint32_t row = p->node != NULL ? (uint32_t)(p->node - p->c->nodes) + 1 : 0;

	if (p->line == 0) {
		if (config_key_is_repeatable(key) && !p->is_list_replaced[index])
			list_clear(p, key);
		p->is_list_replaced[index] = true;
		return;
	}
	if (p->key_line[row][index] != 0 && !config_key_is_repeatable(key))
		fail(p, -EINVAL, "'%s' is given twice (first in line %u): remove one", key->name,
			p->key_line[row][index]);
	p->key_line[row][index] = p->line;
}

static void
take_value(struct parser *p, const char *name, const char *value)
{
	const struct config_key *key = config_key_find(p->section, name);
	char want[DECREE_ERROR_BYTES] = "";
	int rc;

	if (key == NULL) {
		fail_unknown_key(p, name);
		return;
	}
	note_use(p, key);
	if (p->rc != 0)
		return;
	rc = config_value_read(key, value, p->c, p->node, want);
	if (rc == -E2BIG)
		fail(p, -EINVAL, "too many '%s' lines: at most %d", name,
			key->kind == CONFIG_EAL_ARG  ? CONFIG_EAL_ARG_COUNT_MAX
			: key->kind == CONFIG_LISTEN ? CONFIG_LISTEN_COUNT_MAX
						     : CONFIG_PORT_COUNT_MAX);
	else if (rc != 0)
		fail(p, -EINVAL, "%s = %.60s: expected %s%s", name, value, want,
			strstr(value, " #") != NULL ? " (behind a value a comment begins with ' ;')"
						    : "");
}

/* The file */

static int
on_key(void *user, const char *section, const char *name, const char *value)
{
	struct parser *p = user;

	(void)section; /* next_line() has entered it */
	take_value(p, name, value);
	return p->rc == 0;
}

static void
note_header(struct parser *p, const char *line)
{
	char name[CONFIG_LINE_BYTES_MAX + 1];
	const char *end = strchr(line, ']');

	if (line[0] != '[' || end == NULL)
		return; /* without ']' libinih reports the line */
	(void)snprintf(name, sizeof(name), "%.*s", (int)(end - line) - 1, line + 1);
	enter_section(p, name);
}

/* An ini_reader: the next line without leading space; its length was checked by check_lines(). */
static char *
next_line(char *line, int capacity, void *user)
{
	struct parser *p = user;
	const char *start = p->text + p->at;
	const char *end;
	size_t length;

	if (p->rc != 0 || p->at >= p->bytes)
		return NULL;
	end = memchr(start, '\n', p->bytes - p->at);
	length = end != NULL ? (size_t)(end - start) : p->bytes - p->at;
	p->at += length + 1;
	p->line++;
	while (length > 0 && (start[0] == ' ' || start[0] == '\t')) {
		start++;
		length--;
	}
	if (length >= (size_t)capacity)
		length = (size_t)capacity - 1;
	memcpy(line, start, length);
	line[length] = '\0';
	note_header(p, line);
	return p->rc == 0 ? line : NULL;
}

static void
check_lines(struct parser *p)
{
	size_t line_start = 0;

	p->line = 1;
	for (size_t i = 0; i <= p->bytes && p->rc == 0; i++) {
		if (i < p->bytes && p->text[i] == '\0') {
			fail(p, -EINVAL, "a NUL byte: this is not a text file");
		} else if (i == p->bytes || p->text[i] == '\n') {
			if (i - line_start > CONFIG_LINE_BYTES_MAX)
				fail(p, -EINVAL,
					"the line has %zu bytes and at most %d are read: shorten "
					"it",
					i - line_start, CONFIG_LINE_BYTES_MAX);
			line_start = i + 1;
			p->line++;
		}
	}
	p->line = 0;
}

static void
parse_file(struct parser *p)
{
	int syntax_line;

	check_lines(p);
	if (p->rc != 0)
		return;
	syntax_line = ini_parse_stream(next_line, p, on_key, p);
	if (syntax_line > 0 && (p->rc == 0 || (uint32_t)syntax_line < p->line)) {
		p->rc = 0; /* what stands first in the file is reported */
		p->line = (uint32_t)syntax_line;
		fail(p, -EINVAL, "neither [section], nor key = value, nor a comment (#, ;)");
	} else if (syntax_line < 0) {
		fail(p, -ENOMEM, "out of memory");
	}
	p->line = 0;
}

/* Settings */

static void
parse_setting(struct parser *p, const char *setting)
{
	char copy[CONFIG_TEXT_BYTES * 2];
	char *equals;
	char *dot;

	p->setting = setting;
	if (snprintf(copy, sizeof(copy), "%s", setting) >= (int)sizeof(copy)) {
		fail(p, -EINVAL, "longer than %zu bytes", sizeof(copy) - 1);
		return;
	}
	equals = strchr(copy, '=');
	if (equals != NULL)
		*equals = '\0';
	dot = strrchr(copy, '.');
	if (equals == NULL || dot == NULL || dot == copy) {
		fail(p, -EINVAL, "write section.key=value, for example local.log_mode=memory");
		return;
	}
	*dot = '\0';
	enter_section(p, copy);
	if (p->rc == 0)
		take_value(p, dot + 1, equals + 1);
}

static int
compare_nodes(const void *a, const void *b)
{
	return ((const struct config_node *)a)->node_id - ((const struct config_node *)b)->node_id;
}

static void
fill_derived(struct config *c)
{
	uint32_t founders = config_founder_count(c);
	uint32_t majority = founders / 2 + 1;

	if (c->group_count == 0)
		c->group_count = c->shard_count;
	c->is_listen_default = c->listen_count == 0;
	if (c->is_listen_default)
		(void)strcpy(c->listens[c->listen_count++], "127.0.0.1:11300"); /* fits */
	if (c->q1 == 0)
		c->q1 = c->q2 > 0 && c->q2 <= founders ? founders + 1 - c->q2 : majority;
	if (c->q2 == 0)
		c->q2 = c->q1 <= founders ? founders + 1 - c->q1 : majority;
	qsort(c->nodes, c->node_count, sizeof(c->nodes[0]), compare_nodes);
}

int
config_parse(const char *path, const char *text, size_t bytes, const char *const *settings,
	uint32_t setting_count, enum config_purpose purpose, struct config *ret_config,
	char *ret_error)
{
	struct config c;
	struct parser p = { .c = &c, .text = text, .bytes = bytes, .error = ret_error };
	int rc;

	if (strlen(path) >= CONFIG_PATH_BYTES) {
		(void)snprintf(
			ret_error, DECREE_ERROR_BYTES, "the configuration's path is too long");
		return -ENAMETOOLONG;
	}
	config_defaults(&c, path);
	parse_file(&p);
	for (uint32_t i = 0; i < setting_count && p.rc == 0; i++)
		parse_setting(&p, settings[i]);
	if (p.rc != 0)
		return p.rc;
	fill_derived(&c);
	rc = config_check(&c, purpose, ret_error);
	if (rc == 0)
		*ret_config = c;
	return rc;
}

static int
read_whole(int fd, char *buffer, size_t *ret_bytes)
{
	ssize_t got;

	*ret_bytes = 0;
	while ((got = read(fd, buffer + *ret_bytes, FILE_BYTES_MAX - *ret_bytes)) > 0)
		*ret_bytes += (size_t)got;
	if (got < 0)
		return -errno;
	return *ret_bytes == FILE_BYTES_MAX ? -EFBIG : 0;
}

int
config_load(const char *path, const char *const *settings, uint32_t setting_count,
	enum config_purpose purpose, struct config *ret_config, char *ret_error)
{
	char *text = malloc(FILE_BYTES_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t bytes = 0;
	int rc = fd < 0 ? -errno : text == NULL ? -ENOMEM : read_whole(fd, text, &bytes);

	if (path[0] == '\0')
		(void)snprintf(ret_error, DECREE_ERROR_BYTES,
			"no configuration: the path of one is needed, and it is empty");
	else if (rc == 0)
		rc = config_parse(
			path, text, bytes, settings, setting_count, purpose, ret_config, ret_error);
	else
		(void)snprintf(ret_error, DECREE_ERROR_BYTES,
			"%.300s: cannot read the configuration: %s", path, strerror(-rc));
	if (fd >= 0)
		(void)close(fd); /* read only */
	free(text);
	return rc;
}

const struct config_node *
config_find_node(const struct config *c, uint16_t node_id)
{
	for (uint32_t i = 0; i < c->node_count; i++)
		if (c->nodes[i].node_id == node_id)
			return &c->nodes[i];
	return NULL;
}
