/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration: a refusal with a message, or a struct whose parts fit together. */
#include "base/assert.h"
#include "engine/runtime/config.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The last line of the input is also tried as a setting. */
static void
run(const uint8_t *data, size_t bytes, enum config_purpose purpose)
{
	char error[DECREE_ERROR_BYTES] = "";
	char setting[256];
	const char *settings[] = { setting };
	const uint8_t *last = memrchr(data, '\n', bytes);
	struct config c;

	(void)snprintf(setting, sizeof(setting), "%.*s",
		last != NULL ? (int)(data + bytes - last - 1) : 0,
		last != NULL ? (const char *)last + 1 : "");
	if (config_parse("dir/fuzz.ini", (const char *)data, bytes, settings, setting[0] != '\0',
		    purpose, &c, error) != 0) {
		decree_assert(error[0] != '\0');
		return;
	}
	decree_assert(c.node_count >= 1 && c.node_count <= DECREE_NODE_COUNT_MAX);
	decree_assert(c.q1 + c.q2 > c.node_count);
	decree_assert(c.slot_bytes < c.mtu);
	decree_assert(purpose == CONFIG_FOR_CLIENT || config_find_node(&c, c.node_id) != NULL);
	for (uint32_t i = 1; i < c.node_count; i++)
		decree_assert(c.nodes[i - 1].node_id < c.nodes[i].node_id);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0; /* memrchr(NULL) */
	run(data, bytes, CONFIG_FOR_CLIENT);
	run(data, bytes, CONFIG_FOR_NODE);
	return 0;
}
