/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/start_eal.h"

#include "net/net.h"

#include <rte_eal.h>

int
start_eal(const char *program, const char *file_prefix, uint32_t memory_mib)
{
	static const char *const extra[] = { "--no-telemetry" };
	struct net_eal_config config = { .program = program,
		.file_prefix = file_prefix,
		.memory_mib = memory_mib,
		.extra = extra,
		.extra_count = 1 };
	static struct net_eal_args args;
	char error[DECREE_ERROR_BYTES];

	if (net_eal_args(&config, &args, error) != 0)
		return 1;
	return rte_eal_init(args.argc, args.argv) < 0 ? 77 : 0;
}
