/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/gateway_fixture.h"

#include "queue/serve/private.h"
#include "tests/lib/folder.h"

#include <decree/setup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* ------------------------------------------------------------------------------ a server */

static void
on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	struct gateway_fixture *f = context;

	(void)group, (void)first, (void)after;
	queue_gateway_on_applied(f->gateway);
}

static void
on_reserved(void *context, struct queue_machine *m, const struct queue_reserved *r)
{
	struct gateway_fixture *f = context;

	f->reserved_seq = r->seq;
	if (!atomic_exchange(&f->is_silent, false))
		queue_gateway_on_reserved(f->gateway, m, r);
	if (atomic_exchange(&f->is_restored, false))
		queue_gateway_on_restored(f->gateway);
	if (!f->is_holding)
		return;
	sem_post(&f->held);
	while (sem_wait(&f->go) != 0)
		;
}

static void
on_found(void *context, struct queue_machine *m, const struct queue_found *found)
{
	struct gateway_fixture *f = context;

	queue_gateway_on_found(f->gateway, m, found);
}

static void
on_restored(void *context)
{
	struct gateway_fixture *f = context;

	queue_gateway_on_restored(f->gateway);
}

static void
on_node_log(void *context, enum decree_log_level level, const char *line)
{
	(void)context, (void)level, (void)line;
}

static void
on_gateway_log(void *context, enum decree_log_level level, const char *line)
{
	struct gateway_fixture *f = context;
	size_t bytes = strlen(line);

	(void)level;
	pthread_mutex_lock(&f->lock);
	if (f->log_bytes + bytes + 2 <= sizeof(f->log)) {
		memcpy(f->log + f->log_bytes, line, bytes);
		f->log_bytes += bytes;
		f->log[f->log_bytes++] = '\n';
	}
	pthread_mutex_unlock(&f->lock);
}

static void
write_config(struct gateway_fixture *f)
{
	FILE *file = fopen(f->config, "we");

	assert_non_null(file);
	fprintf(file,
		"[cluster]\nid = 77\nauth = none\nsession_count = 16\nsession_window = %d\n"
		"command_bytes_max = 131072\n[node 1]\nip = 10.0.0.1\n[local]\nnode = 1\n"
		"data_dir = data\nlog_mode = buffered\nlog_bytes = 64M\nsegment_bytes = 8M\n",
		GF_WINDOW);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(decree_format(f->config, NULL, 0, false, NULL, f->error), 0);
}

struct gateway_fixture *
gf_create(void)
{
	struct gateway_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	pthread_mutex_init(&f->lock, NULL);
	sem_init(&f->held, 0, 0);
	sem_init(&f->go, 0, 0);
	snprintf(f->folder, sizeof(f->folder), "/var/tmp/decree-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->config, sizeof(f->config), "%s/node.ini", f->folder);
	write_config(f);
	return f;
}

int
gf_open_gateway(struct gateway_fixture *f, struct queue_gateway_options options)
{
	options.node_id = 1;
	options.context = f;
	options.on_log = on_gateway_log;
	return queue_gateway_create(&options, &f->gateway, f->error);
}

void
gf_start(struct gateway_fixture *f)
{
	const struct queue_config config = {
		.queue_bytes = 64u << 20,
		.on_reserved = on_reserved,
		.on_found = on_found,
		.on_restored = on_restored,
		.context = f,
	};
	struct decree_options options = {
		.struct_bytes = sizeof(options),
		.config_path = f->config,
		.machine_ops = &queue_machine_ops,
		.machines = (void *const *)&f->machine,
		.group_count = 1,
		.context = f,
		.on_applied = on_applied,
		.on_log = on_node_log,
	};

	assert_int_equal(queue_machine_create(&config, &f->machine), 0);
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	assert_int_equal(decree_start(f->node), 0);
	assert_int_equal(queue_gateway_start(f->gateway, f->node, f->machine, f->error), 0);
}

/* With one address. */
static void
open_plain(struct gateway_fixture *f)
{
	static const char *const listens[] = { "127.0.0.1:0" };
	const struct queue_gateway_options options = { .listens = listens, .listen_count = 1 };

	assert_int_equal(gf_open_gateway(f, options), 0);
}

void
gf_start_plain(struct gateway_fixture *f)
{
	open_plain(f);
	gf_start(f);
}

void
gf_stop(struct gateway_fixture *f)
{
	if (f->node != NULL) {
		queue_gateway_stop(f->gateway);
		decree_close(f->node);
	}
	queue_gateway_destroy(f->gateway);
	queue_machine_destroy(f->machine);
	f->gateway = NULL;
	f->node = NULL;
	f->machine = NULL;
}

void
gf_destroy(struct gateway_fixture *f)
{
	gf_stop(f);
	folder_remove(f->folder);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

bool
gf_has_logged(struct gateway_fixture *f, const char *text)
{
	bool has;

	pthread_mutex_lock(&f->lock);
	has = strstr(f->log, text) != NULL;
	pthread_mutex_unlock(&f->lock);
	return has;
}

void
gf_await_log(struct gateway_fixture *f, const char *text)
{
	for (int i = 0; !gf_has_logged(f, text); i++) {
		assert_true(i < GF_DEADLINE_MS / 10);
		usleep(10000); /* only so that it is not looked for all the time */
	}
}

int
gf_setup(void **state)
{
	*state = gf_create();
	gf_start_plain(*state);
	return 0;
}

int
gf_setup_without_room(void **state, uint32_t body_bytes)
{
	struct gateway_fixture *f = gf_create();

	open_plain(f);
	f->gateway->handover.kept = f->gateway->handover.mask + 1 - body_bytes;
	gf_start(f);
	*state = f;
	return 0;
}

int
gf_teardown(void **state)
{
	gf_destroy(*state);
	return 0;
}

void
gf_take_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* then a test says so */
	}
}

void
gf_await_held(struct gateway_fixture *f)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GF_DEADLINE_MS / 1000;
	assert_int_equal(sem_timedwait(&f->held, &until), 0);
}
