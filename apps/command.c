/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <errno.h>

static char program_name[64] = "decree";

void
set_program_name(const char *program, const char *command)
{
	(void)snprintf(program_name, sizeof(program_name), "%s%s%s", program,
		command[0] != '\0' ? " " : "", command); /* a long name is cut */
}

int
complain(const char *format, ...)
{
	va_list args;

	(void)fflush(stdout); /* results come before the error that ended them */
	(void)fprintf(stderr, "%s: ", program_name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return EXIT_FAILURE;
}

int
complain_usage(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "%s: ", program_name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "; see '%s --help'\n", program_name);
	return EXIT_USAGE;
}

int
complain_option(char **argv)
{
	const char *argument = argv[optind - 1];

	if (optopt != 0 && argument[0] == '-' && argument[1] != '-')
		return complain_usage("unknown option, or one without its value: '-%c'", optopt);
	return complain_usage("unknown option, or one without its value: '%s'", argument);
}

int
take_arguments(int argc, char **argv, struct config_arguments *ret_config, const char **ret_others,
	int count_max)
{
	int count = 0;

	for (int i = optind; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		const char *dot = strchr(argv[i], '.');

		if (equals != NULL && dot != NULL && dot < equals) {
			if (ret_config->setting_count == SETTING_COUNT_MAX) {
				(void)complain_usage("more than %d settings", SETTING_COUNT_MAX);
				return -1;
			}
			ret_config->settings[ret_config->setting_count++] = argv[i];
		} else if (count < count_max) {
			ret_others[count++] = argv[i];
		} else {
			(void)complain_usage("what is '%s'?", argv[i]);
			return -1;
		}
	}
	if (ret_config->path == NULL) {
		(void)complain_usage("no configuration: add -c FILE");
		return -1;
	}
	return count;
}

bool
parse_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end = NULL;
	unsigned long long number = 0;

	errno = 0;
	if (text[0] >= '0' && text[0] <= '9')
		number = strtoull(text, &end, 10);
	if (end == NULL || *end != '\0' || errno != 0 || number < min || number > max) {
		(void)complain_usage("%s %s: expected a whole number from %" PRIu64 " to %" PRIu64,
			option, text, min, max);
		return false;
	}
	*ret = number;
	return true;
}

struct decree_client *
open_client(const struct config_arguments *config, uint16_t group, uint32_t in_flight_max)
{
	const struct decree_client_options options = {
		.struct_bytes = sizeof(options),
		.config_path = config->path,
		.settings = config->settings,
		.setting_count = config->setting_count,
		.group = group,
		.in_flight_max = in_flight_max,
	};
	char error[DECREE_ERROR_BYTES];
	struct decree_client *client;

	if (decree_client_open(&options, &client, error) == 0)
		return client;
	(void)complain("%s", error);
	return NULL;
}

bool
read_setup(const struct config_arguments *config, bool is_node, struct decree_setup *ret_setup)
{
	char error[DECREE_ERROR_BYTES];

	if (decree_setup_read(config->path, config->settings, config->setting_count, is_node,
		    ret_setup, error) == 0)
		return true;
	(void)complain("%s", error);
	return false;
}

uint64_t
now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

const char *
role_word(enum decree_role role)
{
	return role == DECREE_LEADER      ? "leader"
	       : role == DECREE_CANDIDATE ? "candidate"
					  : "follower";
}

const char *
log_mode_word(enum decree_log_mode mode)
{
	return mode == DECREE_LOG_MEMORY     ? "memory"
	       : mode == DECREE_LOG_BUFFERED ? "buffered"
					     : "durable";
}

const char *
idle_word(enum decree_idle idle)
{
	static const char *const names[] = { "auto", "spin", "yield", "sleep" };

	return names[idle];
}
