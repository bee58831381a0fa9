/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine finds with what its own start uses; see decree_preflight(). */
#include "apps/check/check.h"

static void
on_finding(void *context, enum decree_verdict verdict, const char *subject, const char *text,
	const char *remedy)
{
	static const enum verdict verdicts[] = { VERDICT_GOOD, VERDICT_NOTE, VERDICT_FATAL };

	report(context, verdicts[verdict], subject, remedy, "%s", text);
}

void
check_engine(struct check *c)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_preflight preflight = {
		.struct_bytes = sizeof(preflight),
		.root = c->root,
		/* Ports that are not there, or files instead of ports. */
		.has_no_network = c->fatal_count > 0 || c->root[0] != '\0' || c->is_raw_missing,
		.context = c,
		.on_finding = on_finding,
	};

	if (c->setup == NULL)
		return;
	preflight.config_path = c->config->path;
	preflight.settings = c->config->settings;
	preflight.setting_count = c->config->setting_count;
	if (decree_preflight(&preflight, error) != 0)
		report(c, VERDICT_FATAL, "config", NULL, "%s", error);
	else if (c->is_raw_missing)
		report(c, VERDICT_NOTE, "network",
			"To ask the other nodes, run it once more as root",
			"not looked at, for want of CAP_NET_RAW");
}
