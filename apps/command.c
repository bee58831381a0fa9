/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include "apps/standalone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS_MAX 86400000

/* ----------------------------------------------------------------------------- the command line */

struct option_row
row_config(struct config_arguments *config, const char *help)
{
	return (struct option_row){ "config", 'c', "FILE", help, .text = &config->path };
}

struct option_row
row_cluster_config(struct config_arguments *config)
{
	config->is_in_environment = true;
	return row_config(config, "the configuration of the cluster; without it, $DECREE_CONFIG");
}

struct option_row
row_searched_config(struct config_arguments *config)
{
	config->is_in_environment = true;
	config->is_searched = true;
	return row_config(config, "the configuration; without it, $DECREE_CONFIG, or the one that "
				  "a decreed without -c has made");
}

struct option_row
row_node(const char *name, char letter, uint64_t *node_id, const char *help)
{
	return (struct option_row){ name, letter, "N", help, .number = node_id, .min = 1,
		.max = UINT16_MAX };
}

bool
parse_node(const char *what, const char *text, uint64_t *ret_node_id)
{
	return parse_number(what, text, 1, UINT16_MAX, ret_node_id);
}

struct option_row
row_group(uint64_t *group)
{
	return (struct option_row){ "group", 'g', "N", "the group that is meant", .number = group,
		.max = DECREE_GROUP_COUNT_MAX - 1 };
}

struct option_row
row_timeout(uint64_t *timeout_ms, const char *help)
{
	return (struct option_row){ "timeout", 0, "MS", help, .number = timeout_ms, .min = 1,
		.max = TIMEOUT_MS_MAX };
}

struct option_row
row_json(bool *is_json, const char *help)
{
	return (struct option_row){ "json", 0, NULL, help, .flag = is_json };
}

static bool
is_setting(const char *text)
{
	const char *equals = strchr(text, '=');
	const char *dot = strchr(text, '.');

	return equals != NULL && dot != NULL && dot < equals;
}

static int
complain_argument(const char *text, bool has_config)
{
	if (!has_config)
		return complain_usage("what is '%s'? A configuration is given as -c FILE", text);
	if (strchr(text, '=') != NULL)
		return complain_usage("what is '%s'? A setting is section.key=value", text);
	return complain_usage("what is '%s'?", text);
}

static void
search_config(struct config_arguments *config)
{
	static char path[DECREE_PATH_BYTES];
	const char *named = config->is_in_environment ? getenv("DECREE_CONFIG") : NULL;

	if (named != NULL && named[0] != '\0')
		config->path = named;
	else if (config->is_searched && standalone_find(path))
		config->path = path;
}

int
complain_no_config(const struct config_arguments *config)
{
	if (!config->is_searched)
		return complain_usage("no configuration: add -c FILE");
	return complain_usage(
		"no configuration: add -c FILE (after 'decreed -b DIR' it is "
		"DIR/" STANDALONE_FILE_NAME
		"), since a decreed without -b and -c has left none that this user may read "
		"in " STANDALONE_SYSTEM_DIRECTORY " or ~/.local/state/decree");
}

int
take_arguments(int argc, char **argv, const struct option_page *page,
	struct config_arguments *config, const char **ret_others, int count_max)
{
	int count = 0;
	int first;
	int status = options_take(argc, argv, page, &first);

	if (status != OPTIONS_GO_ON)
		return status;
	for (int i = first; i < argc; i++) {
		if (is_setting(argv[i])) {
			if (config->setting_count == SETTING_COUNT_MAX)
				return complain_usage("more than %d settings", SETTING_COUNT_MAX);
			config->settings[config->setting_count++] = argv[i];
		} else if (count < count_max) {
			ret_others[count++] = argv[i];
		} else {
			return complain_argument(argv[i], config->path != NULL);
		}
	}
	if (config->path == NULL)
		search_config(config);
	if (config->path == NULL &&
		!(config->is_optional && (config->has_own || config->setting_count == 0)))
		return complain_no_config(config);
	return OPTIONS_GO_ON;
}

/* ------------------------------------------------------------------------------ opening */

int
status_of(int rc)
{
	switch (rc) {
	case -EINVAL:
	case -EPERM:
	case -EACCES:
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -ENAMETOOLONG:
	case -EXDEV:
	case -EBADMSG:
	case -ENOTRECOVERABLE:
	case -ENOTSUP: return EXIT_USAGE;
	default: return EXIT_FAILURE;
	}
}

int
complain_of(int rc, const char *error)
{
	(void)complain("%s", error);
	return status_of(rc);
}

int
tell_outcome(int rc, const char *text)
{
	if (rc != 0)
		return complain("%s", text);
	(void)printf("%s\n", text);
	return EXIT_SUCCESS;
}

struct decree_client *
open_client(const struct config_arguments *config, uint16_t group, uint32_t in_flight_max,
	int *ret_status)
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

	int rc = decree_client_open(&options, &client, error);

	if (rc == 0)
		return client;
	*ret_status = complain_of(rc, error);
	return NULL;
}

int
read_setup(const struct config_arguments *config, bool is_node, struct decree_setup *ret_setup)
{
	char error[DECREE_ERROR_BYTES];

	int rc = decree_setup_read(
		config->path, config->settings, config->setting_count, is_node, ret_setup, error);

	return rc == 0 ? OPTIONS_GO_ON : complain_of(rc, error);
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
member_word(enum decree_member_kind kind)
{
	return kind == DECREE_VOTER ? "voter" : kind == DECREE_LEARNER ? "learner" : "outsider";
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
