/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/one_node.h"

#include "engine/runtime/config.h"
#include "engine/runtime/identity.h"
#include "tests/lib/folder.h"
#include "wal/directory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cmocka.h>

static void
adder_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct adder *a = machine;

	(void)cluster_ns;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t add = 0;

		memcpy(&add, commands[i].body, commands[i].bytes < 8 ? commands[i].bytes : 8);
		a->count++;
		a->sum += add;
		decree_sink_answer(sink, commands[i].session, commands[i].seq, 1, a->sum);
	}
}

static struct decree_digest
adder_digest(void *machine)
{
	const struct adder *a = machine;

	return (struct decree_digest){ a->count, a->sum };
}

static int32_t
adder_read(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	const struct adder *a = machine;

	if (bytes != 3 || memcmp(query, "sum", 3) != 0 || capacity < sizeof(a->sum))
		return -EINVAL;
	memcpy(ret_answer, &a->sum, sizeof(a->sum));
	return sizeof(a->sum);
}

const struct decree_machine_ops adder_ops = {
	.struct_bytes = sizeof(adder_ops),
	.apply = adder_apply,
	.digest = adder_digest,
	.read = adder_read,
};

static void
on_log(void *context, enum decree_log_level level, const char *line)
{
	struct one_node *f = context;
	size_t used = strlen(f->log);

	(void)level;
	snprintf(f->log + used, sizeof(f->log) - used, "%s\n", line);
}

static void
write_config(struct one_node *f)
{
	FILE *file = fopen(f->config, "we");

	assert_non_null(file);
	fprintf(file,
		"[cluster]\nid = 77\nauth = none\nshards = 2\ngroups = 2\nsession_count = 16\n"
		"session_window = 1024\n[node 1]\nip = 10.0.0.1\n[local]\nnode = 1\ndata_dir = "
		"data\n"
		"log_bytes = 8M\nsegment_bytes = 2M\n");
	assert_int_equal(fclose(file), 0);
}

static void
format_data(struct one_node *f)
{
	struct config config;
	struct decree_uuid disk;

	assert_int_equal(config_load(f->config, NULL, 0, CONFIG_FOR_NODE, &config, f->error), 0);
	assert_int_equal(mkdir(config.data_dir, 0700), 0);
	assert_int_equal(getrandom(&disk, sizeof(disk), 0), sizeof(disk));
	for (uint16_t shard = 0; shard < 2; shard++) {
		struct identity identity = identity_of_config(&config, shard, &disk);
		uint8_t blob[IDENTITY_BYTES];
		char folder[CONFIG_PATH_BYTES + 16];
		struct wal_format format = {
			.identity = blob,
			.identity_bytes = IDENTITY_BYTES,
			.payload_bytes_max = config.slot_bytes,
			.log_bytes = config.log_bytes,
			.segment_bytes = config.segment_bytes,
		};

		identity_encode(&identity, blob);
		assert_int_equal(
			getrandom(&format.uuid, sizeof(format.uuid), 0), sizeof(format.uuid));
		snprintf(folder, sizeof(folder), "%s/shard-%u", config.data_dir, shard);
		assert_int_equal(wal_directory_format(folder, &format, f->error), 0);
	}
}

int
one_setup(void **state)
{
	struct one_node *f = calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/var/tmp/decree-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->config, sizeof(f->config), "%s/node.ini", f->folder);
	f->machines[0] = &f->adders[0];
	f->machines[1] = &f->adders[1];
	write_config(f);
	format_data(f);
	*state = f;
	return 0;
}

int
one_teardown(void **state)
{
	struct one_node *f = *state;

	decree_close(f->node);
	folder_remove(f->folder);
	free(f);
	return 0;
}

int
one_open(struct one_node *f, const char *setting)
{
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = f->config,
		.settings = &setting,
		.setting_count = setting != NULL,
		.machine_ops = &adder_ops,
		.machines = f->machines,
		.group_count = 2,
		.context = f,
		.on_log = on_log,
	};

	memset(f->adders, 0, sizeof(f->adders));
	return decree_open(&options, &f->node, f->error);
}

void
one_close(struct one_node *f)
{
	decree_close(f->node);
	f->node = NULL;
}

struct decree_options
one_options(struct one_node *f)
{
	memset(f->adders, 0, sizeof(f->adders));
	return (struct decree_options){ .struct_bytes = sizeof(struct decree_options),
		.config_path = f->config,
		.machine_ops = &adder_ops,
		.machines = f->machines,
		.group_count = 2 };
}
