/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a failing run to a small one. Each attempt is a process of its own: kinds of fault are left
 * out, then nodes, then time, then single faults (delta debugging: Zeller and Hildebrandt, 2002).
 * Any failure counts as the failure: a smaller run that breaks in another way is as good a bug
 * report.
 */
#include "tests/sim/main.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTEMPT_SECONDS 30 /* a run takes some 10 ms; one that never ends has failed too */

/* What an attempt tells of itself, as far as it came. */
struct told {
	uint32_t strike_count;
	uint32_t node_count;
	uint64_t event_count;
};

static uint32_t attempts;

static bool
fails(const struct sim_options *o, struct told *told)
{
	int status;
	pid_t pid = fork();

	attempts++;
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		(void)dup2(null, STDOUT_FILENO); /* if not, it is merely noisy */
		(void)dup2(null, STDERR_FILENO);
		alarm(ATTEMPT_SECONDS);
		struct sim *sim = sim_create();
		sim->told_strikes = &told->strike_count;
		sim->told_nodes = &told->node_count;
		sim->told_events = &told->event_count;
		sim_run(sim, o);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("sim: fork");
		exit(2);
	}
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void
without_kinds(struct sim_options *o, struct told *told)
{
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
		if (o->without[kind])
			continue;
		o->without[kind] = true;
		o->without[kind] = fails(o, told);
	}
}

static void
fewer_nodes(struct sim_options *o, struct told *told)
{
	struct sim_options smaller = *o;

	for (uint32_t n = 1; n < told->node_count; n++) {
		smaller.node_count = n;
		if (fails(&smaller, told)) {
			*o = smaller;
			return;
		}
	}
}

static void
less_time(struct sim_options *o, struct told *told)
{
	struct sim_options shorter = *o;

	for (uint64_t step = o->event_count / 2; step >= 50; step /= 2) {
		shorter.event_count = o->event_count - step;
		if (shorter.event_count >= 100 && fails(&shorter, told))
			*o = shorter;
	}
}

/* Leave [at, at + chunk) out. @return whether it still fails, and then *o has the shorter list */
static bool
drop_chunk(struct sim_options *o, uint32_t *numbers, uint32_t at, uint32_t chunk, struct told *told)
{
	static uint32_t rest[ONLY_FAULTS_MAX];
	struct sim_options fewer = *o;

	memcpy(rest, numbers, at * sizeof(*rest));
	uint32_t end = at + chunk < o->only_count ? at + chunk : o->only_count;
	memcpy(rest + at, numbers + end, (o->only_count - end) * sizeof(*rest));
	fewer.only_faults = rest;
	fewer.only_count = o->only_count - (end - at);
	if (!fails(&fewer, told))
		return false;
	memcpy(numbers, rest, fewer.only_count * sizeof(*rest));
	o->only_count = fewer.only_count;
	return true;
}

static void
fewer_faults(struct sim_options *o, struct told *told)
{
	static uint32_t numbers[ONLY_FAULTS_MAX];

	if (o->only_faults == NULL) {
		o->only_count =
			told->strike_count < ONLY_FAULTS_MAX ? told->strike_count : ONLY_FAULTS_MAX;
		for (uint32_t i = 0; i < o->only_count; i++)
			numbers[i] = i + 1;
	} else {
		memcpy(numbers, o->only_faults, o->only_count * sizeof(*numbers));
	}
	o->only_faults = numbers;
	for (uint32_t chunk = o->only_count; chunk > 0; chunk /= 2)
		for (uint32_t at = 0; at < o->only_count;)
			if (!drop_chunk(o, numbers, at, chunk, told))
				at += chunk;
}

static void
print_kinds(const char *option, const bool kinds[FAULT_KIND_COUNT])
{
	const char *separator = option;

	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		if (kinds[kind]) {
			printf("%s%s", separator, sim_fault_table[kind].name);
			separator = ",";
		}
}

static void
print_command(const struct sim_options *o)
{
	printf("sim --seed %lu --trace --events %lu", o->seed, o->event_count);
	if (o->node_count != 0)
		printf(" --nodes %u", o->node_count);
	if (o->machine != SIM_MACHINE_DRAWN)
		printf(" --machine %s", o->machine == SIM_MACHINE_QUEUE ? "queue" : "log");
	print_kinds(" --with ", o->with);
	print_kinds(" --without ", o->without);
	printf(" --only-faults ");
	for (uint32_t i = 0; i < o->only_count; i++)
		printf("%s%u", i == 0 ? "" : ",", o->only_faults[i]);
	printf("%s\n", o->only_count == 0 ? "0" : "");
}

static void
print_schedule(const struct sim_options *o)
{
	bool any = false;

	printf("There all the time:");
	for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
		if (!o->without[kind] && sim_fault_table[kind].strike == NULL) {
			printf(" %s", sim_fault_table[kind].name);
			any = true;
		}
	printf("%s\nWhat strikes, with its story:\n", any ? "" : " nothing");
	fflush(stdout);
	struct sim_options story = *o;
	story.trace = true;
	if (fork() == 0) {
		alarm(ATTEMPT_SECONDS);
		sim_run(sim_create(), &story);
		_exit(0);
	}
	(void)wait(NULL); /* it fails, as all its kind did */
}

int
shrink_seed(const struct sim_options *options)
{
	struct sim_options o = *options;
	struct told *told = mmap(
		NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	o.trace = false;
	if (told == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	if (!fails(&o, told)) {
		printf("seed %lu does not fail\n", o.seed);
		return 0;
	}
	uint32_t nodes = told->node_count, strikes = told->strike_count;
	uint64_t events = told->event_count;
	without_kinds(&o, told);
	fewer_nodes(&o, told);
	less_time(&o, told);
	(void)fails(&o, told); /* how many faults it has now */
	fewer_faults(&o, told);
	(void)fails(&o, told);
	print_schedule(&o);
	printf("\nseed %lu: from %u nodes, %lu events and %u faults to %u nodes, %lu events and %u "
	       "faults in %u attempts. Again:\n  ",
		o.seed, nodes, events, strikes, told->node_count, told->event_count, o.only_count,
		attempts);
	print_command(&o);
	return 1;
}
