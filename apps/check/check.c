/* SPDX-License-Identifier: Apache-2.0 */
/* decree check: one line per property of this host, and what to do about those that are not good. */
#include "apps/check/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char about[] =
	"Is this host ready to run the node that the configuration describes? Without one, the "
	"host alone is looked at. The exit status is 1 if something must be changed before a node "
	"can run.\n\n"
	"While the node does not run, its ports are brought up for a second, and each other node "
	"is asked by ARP and ping, with packets of full size too.";

/* What a finding says may have the bytes of a file's name in it. */
static void
print_string(const char *text)
{
	(void)putchar('"');
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
			(void)printf("\\u%04x", (unsigned)(unsigned char)*text);
		else
			(void)putchar(*text);
	(void)putchar('"');
}

static void
print_json(enum verdict verdict, const char *subject, const char *text, const char *remedy)
{
	static const char *const words[] = { "ok", "note", "bad" };

	(void)printf("{\"check\":\"%s\",\"verdict\":\"%s\",\"finding\":", subject, words[verdict]);
	print_string(text);
	if (remedy != NULL) {
		(void)printf(",\"remedy\":");
		print_string(remedy);
	}
	(void)printf("}\n");
}

void
report(struct check *c, enum verdict verdict, const char *subject, const char *remedy,
	const char *format, ...)
{
	static const char *const marks[] = { "ok  ", "note", "BAD " };
	char text[DECREE_PATH_BYTES + 512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a path and a sentence fit */
	va_end(args);
	c->fatal_count += verdict == VERDICT_FATAL;
	if (c->is_json)
		print_json(verdict, subject, text, remedy);
	else
		(void)printf("%s  %-11s %s%s%s\n", marks[verdict], subject, text,
			remedy != NULL ? ". " : "", remedy != NULL ? remedy : "");
}

/* Reading */

static void
compose(const struct check *c, char *path, size_t capacity, const char *format, va_list args)
{
	int bytes = snprintf(path, capacity, "%s", c->root);

	if (bytes >= 0 && (size_t)bytes < capacity)
		(void)vsnprintf(
			path + bytes, capacity - (size_t)bytes, format, args); /* cut: not found */
}

static bool
read_line(const char *path, char *line, size_t capacity)
{
	FILE *file = fopen(path, "re");
	bool ok = file != NULL && fgets(line, (int)capacity, file) != NULL;

	if (file != NULL)
		(void)fclose(file); /* read only */
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

bool
check_read(const struct check *c, char *line, size_t capacity, const char *format, ...)
{
	char path[DECREE_PATH_BYTES];
	va_list args;

	va_start(args, format);
	compose(c, path, sizeof(path), format, args);
	va_end(args);
	return read_line(path, line, capacity);
}

long
check_number(const struct check *c, const char *format, ...)
{
	char path[DECREE_PATH_BYTES];
	char line[64];
	va_list args;

	va_start(args, format);
	compose(c, path, sizeof(path), format, args);
	va_end(args);
	return read_line(path, line, sizeof(line)) ? strtol(line, NULL, 10) : 0;
}

bool
check_exists(const struct check *c, const char *format, ...)
{
	char path[DECREE_PATH_BYTES];
	va_list args;

	va_start(args, format);
	compose(c, path, sizeof(path), format, args);
	va_end(args);
	return access(path, F_OK) == 0;
}

bool
check_link(const struct check *c, char *name, size_t capacity, const char *format, ...)
{
	char path[DECREE_PATH_BYTES];
	char target[DECREE_PATH_BYTES];
	const char *last;
	ssize_t length;
	va_list args;

	va_start(args, format);
	compose(c, path, sizeof(path), format, args);
	va_end(args);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	last = strrchr(target, '/');
	(void)snprintf(
		name, capacity, "%s", last != NULL ? last + 1 : target); /* names are short */
	return true;
}

/* The command */

static int
run(struct check *c)
{
	check_cpus(c);
	check_memory(c);
	check_kernel(c);
	check_ports(c);
	check_disk(c);
	check_engine(c);
	return c->fatal_count > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
command_check(int argc, char **argv)
{
	struct config_arguments config = { .is_optional = true };
	struct check c = { .root = "" };
	const struct option_row rows[] = {
		row_config(&config, "the configuration of cluster and node"),
		row_json(&c.is_json, "one object per finding"),
		{ .name = "root",
			.argument = "DIR",
			.help = "look at the kernel's files (/sys, /proc) below DIR",
			.text = &c.root },
	};
	const struct option_page page = { "[-c FILE] [--json] [section.key=value ...]", about, rows,
		ROW_COUNT(rows) };
	struct decree_setup setup;
	int status = take_arguments(argc, argv, &page, &config, NULL, 0);

	if (status != OPTIONS_GO_ON)
		return status;
	if (config.path != NULL) {
		status = read_setup(&config, true, &setup);
		if (status != OPTIONS_GO_ON)
			return status;
		c.setup = &setup;
		c.config = &config;
	}
	return run(&c);
}
