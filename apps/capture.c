/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

#define MARGIN_MS 10000 /* for the first answer, and for the file's end */

static const char about[] =
	"Have a running node copy the frames of its ports, received and sent, into capture.pcapng "
	"in its data_dir, and wait until that has ended. Wireshark and tshark read the file; with "
	"decree.lua they show the protocol. The file holds commands as they are on the wire, in "
	"clear. It replaces that of the capture before.";

struct capture_options {
	struct config_arguments config;
	uint64_t node_id;
	uint64_t seconds;
	uint64_t mib;
	uint64_t snap_bytes;
	bool is_stop;
};

static void
store_le32(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static int
run(const struct capture_options *o)
{
	uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES] = { 0 };
	int rc, status = EXIT_FAILURE;
	struct decree_client *client = open_client(&o->config, 0, 1, &status);
	uint64_t timeout_ms = MARGIN_MS + (o->is_stop ? 0 : o->seconds * 1000);
	char text[DECREE_ERROR_BYTES];

	if (client == NULL)
		return status;
	if (!o->is_stop) {
		store_le32(arguments, o->seconds);
		store_le32(arguments + 4, o->mib);
		store_le32(arguments + 8, o->snap_bytes);
	}
	rc = decree_client_admin_at(client, (uint16_t)o->node_id,
		o->is_stop ? DECREE_ADMIN_CAPTURE_STOP : DECREE_ADMIN_CAPTURE, arguments,
		timeout_ms * MS, text);
	decree_client_close(client);
	return tell_outcome(rc, text);
}

int
command_capture(int argc, char **argv)
{
	struct capture_options o = { .seconds = 10, .mib = 64, .snap_bytes = 512 };
	const struct option_row rows[] = {
		row_cluster_config(&o.config),
		row_node("node", 'n', &o.node_id, "whose frames"),
		{ "seconds", 's', "S", "end after this time, up to 3600", .number = &o.seconds,
			.min = 1, .max = 3600 },
		{ "mib", 0, "M", "end when the file has this size, up to 4096", .number = &o.mib,
			.min = 1, .max = 4096 },
		{ "snap", 0, "BYTES", "keep this much of each frame, 64 to 9216",
			.number = &o.snap_bytes, .min = 64, .max = 9216 },
		{ "stop", 0, NULL, "end the capture that is under way", .flag = &o.is_stop },
	};
	const struct option_page page = { "[-c FILE] --node N [OPTION ...] [section.key=value ...]",
		about, rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	if (status != OPTIONS_GO_ON)
		return status;
	if (o.node_id == 0)
		return complain_usage("which node? Add --node N");
	return run(&o);
}
