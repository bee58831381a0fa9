/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a turn costs. tests/budget counts the instructions of a command with one in flight, where
 * each has frames of its own, and with 1,000, where many share one. Both are a number for each
 * frame plus a number for each command, and two equations give the two numbers, for the leader and
 * for a follower. What belongs to the turn itself is in the frames' part.
 *
 * The tag's instructions are those of valgrind's CPU without VAES; on a CPU that has it they are a
 * fraction, and left out. The driver of the NIC and the kernel's part of a write are not counted
 * there: settings.
 */
#include "apps/options.h"
#include "bench/scaling/world.h"

#include <string.h>

#define FILE_BYTES_MAX 65536
#define FOLLOWERS      2 /* of the cluster that was counted */
#define TURN_NS_MIN    50

struct counted {
	double instructions;
	double frames; /* sent */
};

/* The number behind three names, each within the object of the one before. */
static bool
find_number(const char *text, const char *load, const char *role, const char *name, double *ret)
{
	const char *const names[] = { load, role, name };
	char quoted[64];

	for (int i = 0; i < 3; i++) {
		(void)snprintf(quoted, sizeof(quoted), "\"%s\"", names[i]);
		text = strstr(text, quoted);
		if (text == NULL)
			return false;
		text += strlen(quoted);
	}
	return sscanf(text, " : %lf", ret) == 1;
}

static bool
find_counted(const char *text, const char *load, const char *role, struct counted *ret)
{
	return find_number(text, load, role, "instructions", &ret->instructions) &&
	       find_number(text, load, role, "frames", &ret->frames);
}

/* @param one, full  instructions and all frames, sent and received, for each command */
static bool
solve(const struct counted *one, const struct counted *full, struct role_cost *ret)
{
	if (one->frames <= full->frames)
		return false;
	ret->per_frame = (one->instructions - full->instructions) / (one->frames - full->frames);
	ret->per_command = full->instructions - full->frames * ret->per_frame;
	return ret->per_frame > 0 && ret->per_command > 0;
}

static bool
costs_of(const char *text, struct costs *ret)
{
	static const char *const loads[] = { "one", "full" };
	struct counted leader[2], follower[2];

	for (int i = 0; i < 2; i++) {
		struct counted l, f;

		if (!find_counted(text, loads[i], "leader", &l) ||
			!find_counted(text, loads[i], "follower", &f))
			return false;
		leader[i] = (struct counted){ l.instructions, l.frames + FOLLOWERS * f.frames };
		follower[i] = (struct counted){ f.instructions, f.frames + l.frames / FOLLOWERS };
	}
	return solve(&leader[0], &leader[1], &ret->leader) &&
	       solve(&follower[0], &follower[1], &ret->follower);
}

bool
costs_read(const char *path, struct costs *ret_costs)
{
	static char text[FILE_BYTES_MAX];
	FILE *file = fopen(path, "re");
	size_t bytes;

	if (file == NULL) {
		(void)complain("%s cannot be opened: give its place with --budget", path);
		return false;
	}
	bytes = fread(text, 1, sizeof(text) - 1, file);
	(void)fclose(file);
	text[bytes] = '\0';
	if (costs_of(text, ret_costs))
		return true;
	(void)complain("%s does not have the numbers of a budget", path);
	return false;
}

/* A command is appended in one turn and executed in a later one, at about the same cost. */
uint64_t
cost_ns(const struct world *w, const struct member *m, const struct work *work)
{
	const struct role_cost *c =
		w->groups[m->group].leader == m ? &w->costs.leader : &w->costs.follower;
	double commands = (work->appended + work->executed) / 2.0;
	double instructions = work->frames * c->per_frame + commands * c->per_command;
	double ns = instructions * (double)w->s.instruction_ps / 1e3 +
		    (double)(work->frames * w->s.driver_ns);

	return ns < TURN_NS_MIN ? TURN_NS_MIN : (uint64_t)ns;
}
