/* SPDX-License-Identifier: Apache-2.0 */
/* Every key of the configuration as a setting begins, section.key=, one per line: for the
 * completion of shells, and for the test that holds the manual page against the table. */
#include "engine/runtime/config_table.h"

#include <stdio.h>

int
main(void)
{
	static const char *const sections[] = { "", "cluster", "node.N", "local", "snapshot",
		"queue", "metrics" };

	for (uint32_t i = 0; i < config_key_count; i++)
		(void)printf("%s.%s=\n", sections[config_keys[i].section], config_keys[i].name);
	return 0;
}
