/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is right is read, what is wrong is named with its file, line and
 * remedy. */
#include "engine/runtime/config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER "[cluster]\nid = c0ffee\nkey_file = k\nclient_key_file = ck\n" /* lines 1-4 */
#define NODES                                                                                      \
	"[node 1]\nip = 10.0.0.1\n[node 2]\nip = 10.0.0.2\n[node 3]\nip = 10.0.0.3\n"  /* 5-10 */
#define LOCAL "[local]\nnode = 2\ndata_dir = data\nport = net_af_packet0,iface=eth0\n" /* 11-14 */
#define WHOLE CLUSTER NODES LOCAL

static char error[DECREE_ERROR_BYTES];

static int
parse_for(enum config_purpose purpose, const char *text, const char *setting, struct config *ret)
{
	memset(error, 0, sizeof(error));
	return config_parse("etc/decree.ini", text, strlen(text), &setting, setting != NULL,
		purpose, ret, error);
}

static int
parse(const char *text, const char *setting, struct config *ret)
{
	return parse_for(CONFIG_FOR_NODE, text, setting, ret);
}

static void
test_defaults_fill_a_short_file(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE, NULL, &c), 0);
	assert_int_equal(c.cluster_id, 0xc0ffee);
	assert_int_equal(c.shard_count, 1);
	assert_int_equal(c.group_count, 1);
	assert_int_equal(c.slot_bytes, 1328);
	assert_int_equal(c.q1, 2);
	assert_int_equal(c.q2, 2);
	assert_int_equal(c.heartbeat_ns, 20000000);
	assert_int_equal(c.election_ns, 200000000);
	assert_int_equal(c.log_mode, DECREE_LOG_DURABLE);
	assert_int_equal(c.log_bytes, 1 << 30);
	assert_int_equal(c.control_cpu, -1);
	assert_string_equal(c.snapshot_dir, "");
	assert_int_equal(c.snapshot_rate_mb, 150);
	assert_int_equal(c.scrub_rate_mb, 1);
	assert_int_equal(c.snapshot_interval_slots, 0);
	assert_int_equal(c.node_id, 2);
	assert_int_equal(c.port_count, 1);
	assert_int_equal(c.ports[0].peer_id, 0);
	assert_string_equal(c.ports[0].device, "net_af_packet0,iface=eth0");
	assert_int_equal(config_find_node(&c, 3)->ipv4, 0x0a000003);
}

static void
test_the_snapshot_section_is_read(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE "[snapshot]\ndirectory = snaps\nrate_mb = 20\n",
				 "snapshot.interval_slots=60", &c),
		0);
	assert_string_equal(c.snapshot_dir, "etc/snaps");
	assert_int_equal(c.snapshot_rate_mb, 20);
	assert_int_equal(c.snapshot_interval_slots, 60);
}

static void
test_a_queue_listens_to_this_host_alone_by_default(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE, NULL, &c), 0);
	assert_int_equal(c.queue_bytes, 1 << 30);
	assert_int_equal(c.job_bytes_max, 65535);
	assert_int_equal(c.unquoted_yaml, CONFIG_UNQUOTED_YAML_NO);
	assert_int_equal(c.listen_count, 1);
	assert_string_equal(c.listens[0], "127.0.0.1:11300");
}

static void
test_the_queue_section_is_read(void **state)
{
	static const char text[] = WHOLE "[queue]\nbytes = 256M\njob_bytes = 1000\n"
					 "listen = [::1]:11301\nlisten = unix:/run/q\n"
					 "unquoted_yaml = yes\n";
	struct config c;

	(void)state;
	assert_int_equal(parse(text, NULL, &c), 0);
	assert_int_equal(c.queue_bytes, 256 << 20);
	assert_int_equal(c.job_bytes_max, 1000);
	assert_int_equal(c.unquoted_yaml, CONFIG_UNQUOTED_YAML_YES);
	assert_int_equal(c.listen_count, 2);
	assert_string_equal(c.listens[0], "[::1]:11301");
	assert_string_equal(c.listens[1], "unix:/run/q");
	assert_int_equal(parse(text, "queue.listen=0.0.0.0:1", &c), 0);
	assert_int_equal(c.listen_count, 1); /* a setting replaces the whole list */
	assert_string_equal(c.listens[0], "0.0.0.0:1");
}

static void
test_tls_files_are_paths(void **state)
{
	static const char text[] = WHOLE "[queue]\ntls_cert = cert.pem\ntls_key = /etc/q/key.pem\n"
					 "listen = tls:[::1]:11301\n";
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE, NULL, &c), 0);
	assert_string_equal(c.tls_cert, "");
	assert_string_equal(c.tls_key, "");
	assert_string_equal(c.tls_ca, "");
	assert_int_equal(parse(text, "queue.tls_ca=ca.pem", &c), 0);
	assert_string_equal(c.tls_cert, "etc/cert.pem");
	assert_string_equal(c.tls_key, "/etc/q/key.pem");
	/* A setting is of the command line, and so is its path. */
	assert_non_null(strstr(c.tls_ca, "ca.pem"));
	assert_string_equal(c.listens[0], "tls:[::1]:11301");
}

/* A file can be moved together with its keys and data. */
static void
test_relative_paths_are_relative_to_the_file(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE, "local.data_dir=/var/lib/decree", &c), 0);
	assert_string_equal(c.key_file, "etc/k");
	assert_string_equal(c.data_dir, "/var/lib/decree");
}

static void
test_every_kind_of_value_is_read(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(
		parse("# a comment\r\n  [cluster]\n  id = 0xFF ; inline\n  auth = none\nshards=2\n"
		      "[node 7]\nip=10.0.0.7\nmac=02:00:00:00:00:aB\n[node 4]\nip=10.0.0.4\n"
		      "[local]\nnode = 4\ndata_dir = /d\nlog_bytes = 2G\nsegment_bytes = 64M\n"
		      "log_mode = memory\nidle = yield\nhugepages = no\ncpus = 2,4-4\n"
		      "control_cpu = 0\nlink = 7 net_memif0,role=client\neal_arg = --log-level=8\n"
		      "eal_arg = -v\nport = 0000:3b:00.0\n",
			NULL, &c),
		0);
	assert_int_equal(c.cluster_id, 255);
	assert_int_equal(c.group_count, 2);
	assert_int_equal(c.nodes[0].node_id, 4); /* ascending, whatever the file's order */
	assert_int_equal(c.nodes[1].mac[5], 0xab);
	assert_true(c.nodes[1].has_mac && !c.nodes[0].has_mac);
	assert_true(c.log_bytes == 2ull << 30);
	assert_int_equal(c.log_mode, DECREE_LOG_MEMORY);
	assert_int_equal(c.idle, DECREE_IDLE_YIELD);
	assert_int_equal(c.hugepages, CONFIG_HUGEPAGES_NO);
	assert_int_equal(c.cpu_count, 2);
	assert_int_equal(c.cpus[1], 4);
	assert_int_equal(c.control_cpu, 0);
	assert_int_equal(c.port_count, 2);
	assert_int_equal(c.ports[0].peer_id, 7);
	assert_string_equal(c.ports[0].device, "net_memif0,role=client");
	assert_int_equal(c.eal_arg_count, 2);
	assert_string_equal(c.eal_args[1], "-v");
}

static void
test_a_client_needs_no_local_section(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse_for(CONFIG_FOR_CLIENT, CLUSTER NODES, NULL, &c), 0);
	assert_int_equal(c.node_id, 0);
}

static void
test_a_setting_replaces_the_file(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE, "node.3.ip=10.9.9.9", &c), 0);
	assert_int_equal(config_find_node(&c, 3)->ipv4, 0x0a090909);
	assert_int_equal(parse(WHOLE, "local.port=net_af_xdp0,iface=eth9", &c), 0);
	assert_int_equal(c.port_count, 1);
	assert_string_equal(c.ports[0].device, "net_af_xdp0,iface=eth9");
}

/* Flexible quorums: one given, the other follows. */
static void
test_a_given_quorum_decides_the_other(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse(WHOLE, "cluster.q1=3", &c), 0);
	assert_int_equal(c.q2, 1);
	assert_int_equal(parse(WHOLE, "cluster.q2=3", &c), 0);
	assert_int_equal(c.q1, 1);
}

/* A refused file: what stands in it, an optional setting, and what the message must name. */
struct refusal {
	const char *name;
	const char *text;
	const char *setting;
	const char *named[3];
};

#define LINE_200                                                                                   \
	"name = "                                                                                  \
	"89012345678901234567890123456789012345678901234567890123456789012345678901234567890123"   \
	"4567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
	"234567890"                                                                                \
	"123456789012345"

static const struct refusal refusals[] = {
	{ "unknown key, with the nearest", CLUSTER "hartbeat_ms = 20\n", NULL,
		{ "etc/decree.ini:5:", "hartbeat_ms", "'heartbeat_ms'" } },
	{ "unknown section, with the nearest", "[clutser]\n", NULL,
		{ ":1:", "clutser", "[cluster]" } },
	{ "unknown section without a neighbour", "[zzzzzzzzz]\n", NULL, { ":1:", "[node N]" } },
	{ "snapshot rate of nothing", CLUSTER "[snapshot]\nrate_mb = 0\n", NULL,
		{ ":6:", "rate_mb", "1 to 100000" } },
	{ "address without a port", CLUSTER "[queue]\nlisten = 127.0.0.1\n", NULL,
		{ ":6:", "127.0.0.1:11300", "unix:" } },
	{ "port of no number", CLUSTER "[queue]\nlisten = localhost:beans\n", NULL,
		{ ":6:", "listen = localhost:beans" } },
	{ "port beyond the last", CLUSTER "[queue]\nlisten = 127.0.0.1:65536\n", NULL,
		{ ":6:", "listen" } },
	{ "a socket without a path", CLUSTER "[queue]\nlisten = unix:\n", NULL,
		{ ":6:", "listen" } },
	{ "jobs larger than any command", CLUSTER "[queue]\njob_bytes = 4194304\n", NULL,
		{ ":6:", "job_bytes", "4194240" } },
	{ "a queue without memory", CLUSTER "[queue]\nbytes = 0\n", NULL,
		{ ":6:", "bytes", "256M" } },
	{ "a certificate without a path", CLUSTER "[queue]\ntls_cert =\n", NULL,
		{ ":6:", "tls_cert", "a path" } },
	{ "a key without a path", CLUSTER "[queue]\ntls_key =\n", NULL,
		{ ":6:", "tls_key", "a path" } },
	{ "clients' certificates without a path", CLUSTER "[queue]\ntls_ca =\n", NULL,
		{ ":6:", "tls_ca", "a path" } },
	{ "TLS without a port", CLUSTER "[queue]\nlisten = tls:127.0.0.1\n", NULL,
		{ ":6:", "listen", "tls:10.0.0.1:11301" } },
	{ "TLS without an address", CLUSTER "[queue]\nlisten = tls::11301\n", NULL,
		{ ":6:", "listen" } },
	{ "misspelt certificate", CLUSTER "[queue]\ntls_certs = a\n", NULL,
		{ ":6:", "[queue]", "'tls_cert'" } },
	{ "a version of TLS, of which there is one", CLUSTER "[queue]\ntls_version = 1.2\n", NULL,
		{ ":6:", "[queue]", "tls_version" } },
	{ "misspelt queue key", CLUSTER "[queue]\nlisten_on = 5\n", NULL,
		{ ":6:", "[queue]", "'listen'" } },
	{ "misspelt snapshot key", CLUSTER "[snapshot]\nrate = 5\n", NULL,
		{ ":6:", "[snapshot]", "'rate_mb'" } },
	{ "key before any section", "id = 1\n", NULL, { ":1:", "before any section" } },
	{ "neither key nor section", CLUSTER "what is this\n", NULL, { ":5:", "neither" } },
	{ "unclosed section", CLUSTER "[node 1\n", NULL, { ":5:", "neither" } },
	{ "first error first", "junk\n[zzzzzzzzz]\n", NULL, { ":1:", "neither" } },
	{ "key given twice", CLUSTER "id = 2\n", NULL, { ":5:", "'id'", "line 2" } },
	{ "node described twice", CLUSTER NODES "[node 2]\n", NULL,
		{ ":11:", "node 2", "line 7" } },
	{ "node id 0", CLUSTER "[node 0]\n", NULL, { ":5:", "1 to 65535" } },
	{ "node id too large", CLUSTER "[node 65536]\n", NULL, { ":5:", "1 to 65535" } },
	{ "eight nodes",
		CLUSTER "[node 1]\n[node 2]\n[node 3]\n[node 4]\n[node 5]\n[node 6]\n[node 7]\n"
			"[node 8]\n",
		NULL, { ":12:", "more than 7" } },
	{ "bad address", CLUSTER "[node 1]\nip = 10.0.0.300\n", NULL,
		{ ":6:", "10.0.0.300", "IPv4" } },
	{ "bad mac", CLUSTER "[node 1]\nmac = 1:2:3\n", NULL, { ":6:", "MAC" } },
	{ "multicast mac", CLUSTER "[node 1]\nmac = 01:00:00:00:00:01\n", NULL,
		{ ":6:", "unicast" } },
	{ "id of zero", "[cluster]\nid = 0\n", NULL, { ":2:", "hexadecimal" } },
	{ "id too long", "[cluster]\nid = 12345678901234567\n", NULL, { ":2:", "hexadecimal" } },
	{ "negative number", CLUSTER "alpha = -1\n", NULL, { ":5:", "-1", "whole number" } },
	{ "number out of range", CLUSTER "shards = 65\n", NULL, { ":5:", "1 to 64" } },
	{ "number with a tail", CLUSTER "mtu = 1500x\n", NULL, { ":5:", "1500x" } },
	{ "unknown word", CLUSTER "auth = gmack\n", NULL, { ":5:", "gmack", "'gmac', 'none'" } },
	{ "size not in MiB", WHOLE "log_bytes = 5000K\n", NULL, { ":15:", "multiple of 1M" } },
	{ "size overflow", WHOLE "log_bytes = 18446744073709551615G\n", NULL,
		{ ":15:", "multiple" } },
	{ "empty value", CLUSTER "name =\n", NULL, { ":5:", "1 to 199 bytes" } },
	{ "cpus with junk", WHOLE "cpus = 1,x\n", NULL, { ":15:", "list of CPUs" } },
	{ "cpus backwards", WHOLE "cpus = 4-2\n", NULL, { ":15:", "list of CPUs" } },
	{ "link without device", WHOLE "link = 3\n", NULL, { ":15:", "node id and a device" } },
	{ "too many ports",
		WHOLE "port=a\nport=a\nport=a\nport=a\nport=a\nport=a\nport=a\nport=a\n", NULL,
		{ ":22:", "too many 'port'" } },
	{ "line that libinih would cut", CLUSTER LINE_200 "\n", NULL, { ":5:", "at most 199" } },
	{ "setting without a section", WHOLE, "log_mode=memory",
		{ "setting 'log_mode=memory'", "section." } },
	{ "setting without a value", WHOLE, "local.log_mode", { "section.key=value" } },
	{ "setting of an unknown key", WHOLE, "local.idel=spin", { "idel", "'idle'" } },
	{ "setting of an unknown node", WHOLE, "node.9.ip=10.0.0.9", { "no [node 9]" } },
	{ "no id", "[cluster]\n" NODES, NULL, { "[cluster] has no 'id'", "openssl rand" } },
	{ "no key file", "[cluster]\nid = 1\n" NODES LOCAL, NULL,
		{ "no 'key_file'", "--new-keys" } },
	{ "no nodes", CLUSTER LOCAL, NULL, { "no nodes" } },
	{ "node without address", CLUSTER "[node 1]\n" LOCAL, NULL, { "[node 1] has no 'ip'" } },
	{ "same address twice", WHOLE, "node.3.ip=10.0.0.1",
		{ "[node 1] and [node 3]", "same 'ip'" } },
	{ "no local section", CLUSTER NODES, NULL, { "no 'node'", "node = N" } },
	{ "local node missing", WHOLE, "local.node=4", { "node = 4", "no [node 4]" } },
	{ "no data_dir", CLUSTER NODES "[local]\nnode = 1\nport = x\n", NULL, { "no 'data_dir'" } },
	{ "no port", CLUSTER NODES "[local]\nnode = 1\ndata_dir = d\n", NULL, { "no 'port'" } },
	{ "link to itself", WHOLE, "local.link=2 net_memif0", { "link = 2", "itself" } },
	{ "link to a stranger", WHOLE, "local.link=9 net_memif0", { "link = 9", "no [node 9]" } },
	{ "no link to one peer",
		"[node 8]\nip=10.0.0.8\n" CLUSTER NODES
		"[local]\nnode = 2\ndata_dir = /d\nlink = 8 a\nlink = 1 b\n",
		NULL, { "none to node 3", "'link'", "'port'" } },
	{ "two links to one peer", WHOLE "link = 1 a\nlink = 1 b\n", NULL,
		{ "two links to node 1" } },
	{ "quorums that do not meet", WHOLE "[cluster]\nq1 = 1\nq2 = 2\n", NULL,
		{ "q1 + q2 = 3" } },
	{ "quorum beyond the nodes", WHOLE, "cluster.q1=4", { "only 3 nodes" } },
	{ "window beyond alpha", WHOLE, "cluster.window_slots=2048",
		{ "window_slots = 2048", "alpha" } },
	{ "odd session window", WHOLE, "cluster.session_window=3000", { "3000", "power of two" } },
	{ "slot beyond the mtu", WHOLE, "cluster.slot_bytes=1400",
		{ "1400", "at most 1328", "mtu" } },
	{ "command beyond the ceiling", WHOLE, "cluster.command_bytes_max=5000000",
		{ "command_bytes_max", "4194304" } },
	{ "election too slow", WHOLE, "cluster.election_ms=1280",
		{ "election_ms = 1280", "64 times" } },
	{ "election too quick", WHOLE, "cluster.election_ms=100",
		{ "election_ms = 100", "10 times" } },
	{ "lease as long as an election", WHOLE, "cluster.lease_ms=200",
		{ "lease_ms = 200", "election_ms = 200" } },
	{ "lease shorter than heartbeats", WHOLE, "cluster.lease_ms=30",
		{ "lease_ms = 30", "heartbeat_ms = 20" } },
	{ "ports run over", WHOLE "[cluster]\nbase_port=65535\nshards=2\n", NULL,
		{ "65535", "lower" } },
	{ "shards without groups", WHOLE "[cluster]\nshards = 4\ngroups = 2\n", NULL,
		{ "fewer shards" } },
	{ "log of one segment", WHOLE, "local.log_bytes=64M", { "log_bytes", "segment_bytes" } },
	{ "comment behind a value", WHOLE "[cluster]\nmtu = 9000 # jumbo\n", NULL,
		{ "9000 # jumbo", "begins with ' ;'" } },
	{ "cpus for other shards", WHOLE, "local.cpus=1,2", { "2 CPUs for 1 shards" } },
};

static void
test_refusal(void **state)
{
	const struct refusal *row = *state;
	struct config c = { .node_id = 99 };

	assert_int_equal(parse(row->text, row->setting, &c), -EINVAL);
	for (uint32_t i = 0; i < 3 && row->named[i] != NULL; i++)
		if (strstr(error, row->named[i]) == NULL)
			fail_msg("'%s' is not named in: %s", row->named[i], error);
	assert_int_equal(c.node_id, 99); /* untouched */
}

/* libinih reads 199 bytes: a line of just that length is whole. */
static void
test_a_line_of_199_bytes_is_read_whole(void **state)
{
	char text[1024];
	struct config c;

	(void)state;
	(void)snprintf(
		text, sizeof(text), "[cluster]\n%.199s\nid=1\nkey_file=k\n" NODES LOCAL, LINE_200);
	assert_int_equal(parse(text, NULL, &c), 0);
	assert_int_equal(strlen(c.name), 199 - 7);
}

static void
test_a_nul_byte_is_refused(void **state)
{
	static const char text[] = "[cluster]\nid = 1\0\n";
	struct config c;

	(void)state;
	assert_int_equal(
		config_parse("f", text, sizeof(text) - 1, NULL, 0, CONFIG_FOR_NODE, &c, error),
		-EINVAL);
	assert_non_null(strstr(error, "f:2: a NUL byte"));
}

static void
test_a_missing_file_is_named(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(
		config_load("/nonexistent/decree.ini", NULL, 0, CONFIG_FOR_NODE, &c, error),
		-ENOENT);
	assert_non_null(strstr(error, "/nonexistent/decree.ini"));
}

/* Key files */

static char key_path[64];

static int
key_setup(void **state)
{
	static char folder[] = "/tmp/decree-test-XXXXXX";

	(void)state;
	(void)strcpy(folder, "/tmp/decree-test-XXXXXX"); /* same length */
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(key_path, sizeof(key_path), "%s/key", folder);
	return 0;
}

static int
key_teardown(void **state)
{
	(void)state;
	(void)unlink(key_path); /* may be missing */
	*strrchr(key_path, '/') = '\0';
	return rmdir(key_path);
}

static void
write_key(const char *text, mode_t mode)
{
	int fd = open(key_path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void
test_a_created_key_is_private_and_read_back(void **state)
{
	uint8_t key[CONFIG_KEY_BYTES] = { 0 };
	uint8_t again[CONFIG_KEY_BYTES];
	struct stat st;

	(void)state;
	assert_int_equal(config_key_create(key_path, error), 0);
	assert_int_equal(stat(key_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(config_key_read(key_path, key, error), 0);
	assert_int_equal(config_key_create(key_path, error), -EEXIST);
	assert_int_equal(config_key_read(key_path, again, error), 0);
	assert_memory_equal(key, again, sizeof(key));
}

static void
test_a_key_that_others_may_read_is_refused(void **state)
{
	uint8_t key[CONFIG_KEY_BYTES];

	(void)state;
	assert_int_equal(config_key_create(key_path, error), 0);
	assert_int_equal(chmod(key_path, 0640), 0);
	assert_int_equal(config_key_read(key_path, key, error), -EPERM);
	assert_non_null(strstr(error, "chmod 600"));
}

#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void
test_a_malformed_key_is_refused(void **state)
{
	uint8_t key[CONFIG_KEY_BYTES];

	(void)state;
	write_key(DIGITS "\n", 0600);
	assert_int_equal(config_key_read(key_path, key, error), 0);
	assert_int_equal(key[31], 0xff);
	write_key(DIGITS "0", 0600);
	assert_int_equal(config_key_read(key_path, key, error), -EBADMSG);
	write_key("0011", 0600);
	assert_int_equal(config_key_read(key_path, key, error), -EBADMSG);
	write_key("x" DIGITS, 0600);
	assert_int_equal(config_key_read(key_path, key, error), -EBADMSG);
	write_key("", 0600);
	assert_int_equal(config_key_read(key_path, key, error), -EBADMSG);
}

static void
test_a_missing_key_says_how_to_get_one(void **state)
{
	uint8_t key[CONFIG_KEY_BYTES];

	(void)state;
	assert_int_equal(config_key_read(key_path, key, error), -ENOENT);
	assert_non_null(strstr(error, "--new-keys"));
}

#define REFUSAL_COUNT (sizeof(refusals) / sizeof(refusals[0]))

int
main(void)
{
	static struct CMUnitTest rows[REFUSAL_COUNT];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_fill_a_short_file),
		cmocka_unit_test(test_the_snapshot_section_is_read),
		cmocka_unit_test(test_a_queue_listens_to_this_host_alone_by_default),
		cmocka_unit_test(test_the_queue_section_is_read),
		cmocka_unit_test(test_tls_files_are_paths),
		cmocka_unit_test(test_relative_paths_are_relative_to_the_file),
		cmocka_unit_test(test_every_kind_of_value_is_read),
		cmocka_unit_test(test_a_client_needs_no_local_section),
		cmocka_unit_test(test_a_setting_replaces_the_file),
		cmocka_unit_test(test_a_given_quorum_decides_the_other),
		cmocka_unit_test(test_a_line_of_199_bytes_is_read_whole),
		cmocka_unit_test(test_a_nul_byte_is_refused),
		cmocka_unit_test(test_a_missing_file_is_named),
		cmocka_unit_test_setup_teardown(
			test_a_created_key_is_private_and_read_back, key_setup, key_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_key_that_others_may_read_is_refused, key_setup, key_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_malformed_key_is_refused, key_setup, key_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_missing_key_says_how_to_get_one, key_setup, key_teardown),
	};
	int failed = cmocka_run_group_tests_name("config", tests, NULL, NULL);

	for (size_t i = 0; i < REFUSAL_COUNT; i++)
		rows[i] = (struct CMUnitTest){ .name = refusals[i].name,
			.test_func = test_refusal,
			.initial_state = (void *)(uintptr_t)&refusals[i] };
	return failed + cmocka_run_group_tests_name("refused configurations", rows, NULL, NULL);
}
