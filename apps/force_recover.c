/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] =
	"After a majority of the disks is lost FOR EVER: begin a new cluster of one node with what "
	"a node that is left holds. While a majority can still be started, start it instead.\n\n"
	"THIS LOSES DATA: whatever the lost nodes alone knew is gone, acknowledged or not; and "
	"what this node had written down without knowing whether it was decided becomes part of "
	"the history.\n\n"
	"With several nodes left, look at each before you take one. Leave out every node whose "
	"'last' is below the highest 'decided' that any of them says: it lacks what another one is "
	"known to have decided. Of those that remain take the one with the highest ballot; of "
	"several with the same ballot the one with the highest 'last'. If none remains, take the "
	"one with the highest 'last' of all.";

static const char config_help[] = "of the new cluster, on this host: a new id, this node its only "
				  "member so far (others: 'joins = yes', numbers that were never "
				  "used), the same constants, a data_dir that does not exist yet";

static const char from_help[] =
	"the data directory of the lost cluster's node, which must not run; it keeps its contents";

struct recover_options {
	struct config_arguments config;
	const char *from;
	const char *from_snapshots;
	bool is_loss_accepted;
};

static void
print_survivor(const struct decree_survivor *g)
{
	(void)printf("group %u: slots 1 to %" PRIu64, g->group, g->last.n);
	if (g->snapshot.n != 0)
		(void)printf(" (a snapshot up to %" PRIu64 ")", g->snapshot.n);
	(void)printf(", decided to its knowledge: %" PRIu64 ", ballot %" PRIu64 ".%" PRIu64
		     ", last %" PRIu64 "\n",
		g->decided.n, g->ballot.n >> 16, g->ballot.n & 0xffff, g->last.n);
	if (g->dropped_count != 0)
		(void)printf("group %u: slot %" PRIu64 " is missing or damaged here: %" PRIu64
			     " slots behind it are NOT kept\n",
			g->group, g->last.n + 1, g->dropped_count);
	if (g->decided.n > g->last.n)
		(void)printf("group %u: slots %" PRIu64 " to %" PRIu64
			     " were decided and are NOT kept: a node whose 'last' is %" PRIu64
			     " or more has them\n",
			g->group, g->last.n + 1, g->decided.n, g->decided.n);
	if (g->is_doubtful)
		(void)printf("group %u: this node knew that records were lost, but not which: what "
			     "is kept may hold older values\n",
			g->group);
	if (g->is_unsynced)
		(void)printf("group %u: WARNING: log_mode was 'buffered' and the machine was "
			     "restarted: what this node wrote last may be missing, promises and "
			     "votes too, and how much is not known\n",
			g->group);
}

static int
run(const struct recover_options *o, const struct decree_setup *setup)
{
	struct decree_rescue rescue = {
		.data_dir = o->from,
		.snapshot_dir = o->from_snapshots,
		.is_dry = !o->is_loss_accepted,
	};
	char error[DECREE_ERROR_BYTES];

	if (decree_force_recover(o->config.path, o->config.settings, o->config.setting_count,
		    &rescue, error) != 0)
		return complain("%s", error);
	(void)printf(
		"node %u of the lost cluster %" PRIx64 "\n", setup->node_id, rescue.cluster_id);
	for (uint32_t i = 0; i < rescue.group_count; i++)
		print_survivor(&rescue.groups[i]);
	if (rescue.is_dry) {
		(void)printf(
			"If other nodes are left, look at each. Leave out those whose 'last' is "
			"below the highest 'decided' of any; of the others take the highest "
			"ballot, then the highest 'last'.\n"
			"Nothing was changed. With --accept-loss, cluster %" PRIx64
			" begins with this, and everything else is LOST.\n",
			setup->cluster_id);
		return EXIT_SUCCESS;
	}
	(void)printf("FORCED RECOVERY: cluster %" PRIx64 " begins with node %u alone, in %s\n"
		     "disk %016" PRIx64 "\n"
		     "No node of cluster %" PRIx64 " may be started again. Start this one, then "
		     "'decree member add' others, under new numbers and with empty directories.\n",
		setup->cluster_id, setup->node_id, setup->data_dir, rescue.disk, rescue.cluster_id);
	return EXIT_SUCCESS;
}

int
command_force_recover(int argc, char **argv)
{
	struct recover_options o = { 0 };
	const struct option_row rows[] = {
		row_config(&o.config, config_help),
		{ "from", 0, "DIR", from_help, .text = &o.from },
		{ "from-snapshots", 0, "DIR",
			"its [snapshot] directory, if it had one outside of --from",
			.text = &o.from_snapshots },
		{ "accept-loss", 0, NULL, "do it. Without this only what would be kept is shown",
			.flag = &o.is_loss_accepted },
	};
	const struct option_page page = { "-c FILE --from DIR [OPTION ...] [section.key=value ...]",
		about, rows, ROW_COUNT(rows) };
	struct decree_setup setup;
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	if (status != OPTIONS_GO_ON)
		return status;
	if (o.from == NULL)
		return complain_usage("which node is left? Add --from DIR, its data directory");
	status = read_setup(&o.config, true, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	return run(&o, &setup);
}
