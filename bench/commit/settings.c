/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/settings.h"

#include "bench/commit/json.h"

#include <string.h>

/* What nodes are told of how to wait; each point says what that came to. */
static const char *
idle_setting(const struct plan *plan)
{
	static const char key[] = "local.idle=";
	const char *idle = plan->config == NULL ? "auto" : "as configured";

	for (uint32_t i = 0; i < plan->setting_count; i++)
		if (strncmp(plan->settings[i], key, sizeof(key) - 1) == 0)
			idle = plan->settings[i] + sizeof(key) - 1;
	return idle;
}

/* As a shell would take it. */
static void
print_word(const char *word, FILE *to)
{
	bool is_plain = *word != '\0' && strcspn(word, " \t\n'\"\\$&;|<>*?()`") == strlen(word);

	fprintf(to, is_plain ? " %s" : " '%s'", word);
}

void
settings_print(const struct plan *plan, FILE *to)
{
	fprintf(to, "command    ");
	for (uint32_t i = 0; i < plan->word_count; i++)
		print_word(plan->words[i], to);
	fprintf(to, "\nnodes       %llu MiB of log for a shard, %s; idle %s; CPUs",
		(unsigned long long)plan->log_bytes >> 20,
		plan->config != NULL      ? "as it is"
		: plan->is_not_prewritten ? "NOT PRE-WRITTEN"
					  : "pre-written",
		idle_setting(plan));
	for (uint32_t i = 0; i < plan->cpu_count; i++)
		fprintf(to, "%s%u", i == 0 ? " " : ",", plan->cpus[i]);
	fprintf(to, "%s; state of %llu bytes", plan->cpu_count == 0 ? " any" : "",
		(unsigned long long)plan->state_bytes);
	for (uint32_t i = 0; i < plan->setting_count; i++)
		fprintf(to, "; %s", plan->settings[i]);
	fprintf(to, "\n");
}

static void
print_list(const char *key, const char *const *texts, uint32_t count, FILE *to)
{
	fprintf(to, ",\"%s\":[", key);
	for (uint32_t i = 0; i < count; i++) {
		fprintf(to, "%s", i == 0 ? "" : ",");
		json_text(to, texts[i]);
	}
	fprintf(to, "]");
}

void
settings_print_json(const struct plan *plan, FILE *to)
{
	fprintf(to, "\"log_bytes\":%llu,\"state_bytes\":%llu,\"prewritten\":%s,\"idle\":",
		(unsigned long long)plan->log_bytes, (unsigned long long)plan->state_bytes,
		plan->config != NULL      ? "null"
		: plan->is_not_prewritten ? "false"
					  : "true");
	json_text(to, idle_setting(plan));
	fprintf(to, ",\"connections\":%u,\"cpus\":[", plan->connection_count);
	for (uint32_t i = 0; i < plan->cpu_count; i++)
		fprintf(to, "%s%u", i == 0 ? "" : ",", plan->cpus[i]);
	fprintf(to, "]");
	print_list("set", plan->settings, plan->setting_count, to);
	print_list("argv", (const char *const *)plan->words, plan->word_count, to);
}
