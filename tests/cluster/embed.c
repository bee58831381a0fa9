#include <decree/node.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void
apply(void *machine, const struct decree_command *commands, uint32_t count, uint64_t cluster_ns,
	struct decree_sink *sink)
{
	uint64_t *total = machine; /* the whole state: how many commands there were */

	for (uint32_t i = 0; i < count; i++)
		decree_sink_answer(sink, commands[i].session, commands[i].seq, 0, ++*total);
	(void)cluster_ns; /* the cluster's clock; this machine does not need to know the time */
}

static struct decree_digest
digest(void *machine)
{
	return (struct decree_digest){ .lo = *(uint64_t *)machine };
}

int
main(int argc, char **argv)
{
	uint64_t total = 0;
	void *machines[] = { &total };
	const struct decree_machine_ops ops = { sizeof(ops), .apply = apply, .digest = digest };
	const struct decree_options options = { sizeof(options),
		.config_path = argc > 1 ? argv[1] : "", .machine_ops = &ops, .machines = machines,
		.group_count = 1 };
	struct decree_node *node = NULL;
	struct decree_proposer *proposer = NULL;
	struct decree_completion done;
	char error[DECREE_ERROR_BYTES] = "the node could not be started";

	if (decree_open(&options, &node, error) != 0 || decree_start(node) != 0 ||
		decree_proposer_open(node, 0, &proposer, error) != 0)
		return fprintf(stderr, "%s\n", error), 1;
	while (decree_propose(proposer, "hello", 5, NULL) == -EAGAIN)
		; /* until its session is open */
	while (decree_poll(proposer, &done, 1) == 0)
		; /* until a quorum has it on disk, and this node has applied it */
	printf("this was command %" PRIu64 "\n", done.result);
	decree_proposer_close(proposer);
	decree_stop(node);
	decree_close(node);
	return 0;
}
