/* SPDX-License-Identifier: Apache-2.0 */
/* One pattern: damage a history's files, start the nodes, let them run, judge. */
#include "tests/tables/base.h"

#include "base/assert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS    1000000000ull
#define SERVICE_NS   (20 * SECOND_NS) /* virtual; an election takes 0.2 to 0.4 s */
#define SILENCE_NS   (3 * SECOND_NS)
#define LATE_NS      (1 * SECOND_NS)
#define CRASH_NS_MAX (SECOND_NS / 2)
#define TWICE_EVERY  8

/* ---- the worker ---- */

static void
worker_path(const struct options *o, uint32_t job, char ret[256])
{
	snprintf(ret, 256, "%.200s/job-%u", o->directory, job);
}

void
worker_init(struct worker *w, const struct options *o, const struct family *f, uint32_t job)
{
	char path[256];

	memset(w, 0, sizeof(*w));
	w->options = *o;
	worker_path(o, job, path);
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		fprintf(stderr, "tables: cannot make %s: %s\n", path, strerror(errno));
		exit(2);
	}
	w->cluster = cluster_create(path, f->node_count, f->has_snapshots, o->is_direct);
}

void
worker_fini(struct worker *w)
{
	for (uint32_t i = 0; i < BASE_COUNT_MAX; i++)
		if (w->bases[i] != NULL)
			base_free(w->bases[i]);
	for (uint32_t i = 0; i < NODE_MAX; i++)
		image_free(&w->images[i]);
	cluster_destroy(w->cluster);
}

/* ---- what the nodes say ---- */

static void say(struct verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct verdict *v, const char *format, ...)
{
	size_t used = strlen(v->text);
	va_list args;

	va_start(args, format);
	vsnprintf(v->text + used, sizeof(v->text) - used, format, args);
	va_end(args);
}

/* What each node has to say for itself. @return whether one does not run */
static bool
hear_nodes(const struct worker *w, struct verdict *v)
{
	struct cluster *c = w->cluster;
	bool has_refused = false;

	for (uint32_t i = 0; i < c->node_count; i++) {
		const struct node *n = &c->nodes[i];

		if (node_is_up(n)) {
			struct wal_status status;

			wal_status(n->wal, &status);
			say(v,
				"  node %u: runs, commands up to slot %lu; damaged %lu, nameless "
				"%lu\n",
				i + 1, n->machine.last, status.damaged_count,
				status.nameless_count);
		} else if (n->refusal[0] != '\0') {
			say(v, "  node %u: %s\n", i + 1, n->refusal);
			has_refused = true;
		} else {
			say(v, "  node %u: stays away\n", i + 1);
		}
	}
	return has_refused;
}

/* ---- one run ---- */

static void
begin(struct worker *w, const struct family *f, uint64_t number)
{
	uint32_t i = (uint32_t)(number % f->base_count);

	if (w->bases[i] == NULL)
		w->bases[i] = base_make(w, f, i);
	w->base = w->bases[i];
	w->random = w->options.seed;
	w->random = draw(&w->random, UINT64_MAX) + number;
	(void)draw(&w->random, 2);
	memset(w->stays_away, 0, sizeof(w->stays_away));
	memset(w->comes_late, 0, sizeof(w->comes_late));
	w->crash_count = 0;
	for (uint32_t node = 0; node < f->node_count; node++)
		image_assign(&w->images[node], &w->base->images[node]);
}

static void
start_nodes(struct worker *w, bool is_late)
{
	struct cluster *c = w->cluster;

	for (uint32_t i = 0; i < c->node_count; i++)
		if (!w->stays_away[i] && w->comes_late[i] == is_late)
			(void)node_start(&c->nodes[i]); /* if not, it says why */
}

/* It dies, and starts again from what is on its disk. Its files are copies: the kernel may still
 * hold the dead one's for a moment. */
static void
restart(struct worker *w, uint32_t node, bool is_worse)
{
	struct node *n = &w->cluster->nodes[node];
	struct image *image = &w->images[node];

	node_kill(n);
	image_free(image);
	image_take(image, n->path);
	if (is_worse)
		damage_more(w, node);
	image_write(image, n->path);
	(void)node_start(n);
}

static void
crash_one(struct worker *w, const struct crash *crash)
{
	(void)cluster_run(w->cluster, draw(&w->random, CRASH_NS_MAX) + 1, NULL);
	if (node_is_up(&w->cluster->nodes[crash->node]))
		restart(w, crash->node, crash->is_worse);
}

/* What was repaired must stand by itself: all die at once, and have everything again. */
static bool
run_again(struct worker *w, struct verdict *v)
{
	struct cluster *c = w->cluster;

	(void)hear_nodes(w, v);
	say(v, "  it serves, and everybody dies and starts again:\n");
	for (uint32_t i = 0; i < c->node_count; i++)
		if (node_is_up(&c->nodes[i]))
			restart(w, i, false);
	return cluster_run(c, SERVICE_NS, cluster_has_converged);
}

/* @return whether it serves */
static bool
run_nodes(struct worker *w, enum expectation expected, bool is_twice, struct verdict *v)
{
	struct cluster *c = w->cluster;
	uint64_t for_ns =
		expected == EXPECT_RECOVERY || expected == EXPECT_SERVICE ? SERVICE_NS : SILENCE_NS;

	start_nodes(w, false);
	for (uint32_t i = 0; i < c->node_count; i++)
		if (w->comes_late[i]) {
			(void)cluster_run(c, LATE_NS, cluster_has_converged);
			start_nodes(w, true);
		}
	for (uint32_t i = 0; i < w->crash_count; i++)
		crash_one(w, &w->crashes[i]);
	return cluster_run(c, for_ns, cluster_has_converged) && (!is_twice || run_again(w, v));
}

/* ---- judging ---- */

static void
contradict(struct verdict *v, const char *what)
{
	say(v, "  wrong: %s\n", what);
	v->outcome = OUTCOME_WRONG;
}

static void
judge(struct worker *w, enum expectation expected, bool has_converged, struct verdict *v)
{
	const struct cluster *c = w->cluster;

	v->outcome = !has_converged   ? OUTCOME_UNAVAILABLE
		     : v->has_refused ? OUTCOME_REFUSED
				      : OUTCOME_RECOVERED;
	if (c->wrong[0] != '\0')
		contradict(v, c->wrong);
	else if (expected == EXPECT_RECOVERY && v->outcome != OUTCOME_RECOVERED)
		contradict(v, "all entries are there, and not all nodes serve");
	else if (expected == EXPECT_SERVICE && v->outcome == OUTCOME_UNAVAILABLE)
		contradict(v, "the nodes that run hold all that is needed, and do not serve");
	else if (expected == EXPECT_NO_RECOVERY && v->outcome != OUTCOME_UNAVAILABLE)
		contradict(v, "it serves, though nobody can know what was committed");
}

void
worker_run(struct worker *w, const struct family *f, uint64_t number, struct verdict *ret)
{
	struct cluster *c = w->cluster;
	enum expectation expected;
	bool has_converged;

	*ret = (struct verdict){ .outcome = OUTCOME_WRONG };
	begin(w, f, number);
	expected = f->damage(w, number);
	cluster_begin(c, w->base->slots, w->base->held_last, w->random);
	for (uint32_t i = 0; i < c->node_count; i++) {
		image_write(&w->images[i], c->nodes[i].path);
		c->nodes[i].bad = w->images[i].bad;
	}
	has_converged = run_nodes(w, expected, number % TWICE_EVERY == 0, ret);
	ret->has_refused = hear_nodes(w, ret);
	judge(w, expected, has_converged, ret);
	for (uint32_t i = 0; i < c->node_count; i++)
		node_kill(&c->nodes[i]);
}
