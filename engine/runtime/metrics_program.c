/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program may add to the metrics of a node: only what Prometheus can read, and what cannot
 * be taken for the node's own. One row that is wrong would cost the whole page, and would be
 * noticed when somebody needs it.
 *
 *   name    [a-zA-Z_:][a-zA-Z0-9_:]*, none of the node's; _total at the end of counters and of
 *           nothing else; _seconds, _bytes as the unit is
 *   labels  "" or name="value",name="value"; no name twice, and not `node`, which the node adds
 *   help    a sentence on one line; the same in all rows of one name, as is the kind
 *   rows    of one name stand together, and each has other labels
 */
#include "engine/runtime/metrics.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL_COUNT_MAX 8

struct checking {
	const struct decree_metric *rows;
	uint32_t index;
	char *ret_error;
};

__attribute__((format(printf, 2, 3))) static bool
complain(const struct checking *c, const char *format, ...)
{
	const char *name = c->rows[c->index].name;
	va_list args;
	int used = snprintf(c->ret_error, DECREE_ERROR_BYTES,
		"options: metrics[%u] %.80s: ", c->index, name != NULL ? name : "(no name)");

	va_start(args, format);
	(void)vsnprintf(c->ret_error + used, DECREE_ERROR_BYTES - (size_t)used, format, args);
	va_end(args);
	return false;
}

/* In no locale. */
static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t
name_bytes(const char *text, bool is_label)
{
	size_t i = 0;

	while (is_letter(text[i]) || (i > 0 && is_digit(text[i])) || (!is_label && text[i] == ':'))
		i++;
	return i;
}

static bool
ends_with(const char *text, size_t bytes, const char *end)
{
	size_t count = strlen(end);

	return bytes > count && memcmp(text + bytes - count, end, count) == 0;
}

static bool
is_ours(const char *name)
{
	const struct decree_metric *m;

	for (uint32_t i = 0; (m = decree_metric_at(i)) != NULL; i++)
		if (strcmp(m->name, name) == 0)
			return true;
	return false;
}

static bool
check_unit(const struct checking *c, const char *name, size_t bytes, enum decree_metric_unit unit)
{
	static const char *const ends[] = { "", "_bytes", "_seconds" };

	if ((unsigned)unit > DECREE_UNIT_SECONDS)
		return complain(c, "there is no unit %d", (int)unit);
	if (unit != DECREE_UNIT_NONE && !ends_with(name, bytes, ends[unit]))
		return complain(c, "its unit belongs to its name: %.80s%s", name, ends[unit]);
	return true;
}

static bool
check_name(const struct checking *c, const struct decree_metric *m)
{
	bool is_counter = m->kind == DECREE_COUNTER;
	size_t bytes;

	if (m->name == NULL || m->name[0] == '\0')
		return complain(c, "it has no name");
	bytes = strlen(m->name);
	if (name_bytes(m->name, false) != bytes)
		return complain(
			c, "a name is made of letters, digits, _ and :, and begins with no digit");
	if (is_ours(m->name))
		return complain(c, "the node has a metric of this name itself");
	if (!is_counter && m->kind != DECREE_GAUGE)
		return complain(c, "kind %d: counters and gauges can be added", (int)m->kind);
	if (is_counter != ends_with(m->name, bytes, "_total"))
		return complain(c, "counters end in _total, and nothing else does");
	if (m->scope != DECREE_OF_NODE)
		return complain(c, "what a program adds is of the node");
	return check_unit(c, m->name, is_counter ? bytes - strlen("_total") : bytes, m->unit);
}

static bool
check_help(const struct checking *c, const char *help)
{
	if (help == NULL || help[0] == '\0')
		return complain(c, "it has no help: a sentence that says what it is");
	if (strpbrk(help, "\n\\") != NULL)
		return complain(c, "its help has a newline or a backslash");
	return true;
}

/* @return the byte behind the closing quote, NULL: it is not closed */
static const char *
value_end(const char *at)
{
	for (; *at != '"'; at++) {
		if (*at == '\\' && *++at != '\\' && *at != '"' && *at != 'n')
			return NULL;
		if (*at == '\0' || *at == '\n')
			return NULL;
	}
	return at + 1;
}

static bool
is_among(const char *const *seen, const size_t *bytes, uint32_t count, const char *name,
	size_t length)
{
	for (uint32_t i = 0; i < count; i++)
		if (bytes[i] == length && memcmp(seen[i], name, length) == 0)
			return true;
	return false;
}

static bool
check_labels(const struct checking *c, const char *at)
{
	const char *seen[LABEL_COUNT_MAX + 1] = { "node" };
	size_t bytes[LABEL_COUNT_MAX + 1] = { 4 };
	uint32_t count = 1;

	if (at == NULL)
		return complain(c, "its labels are NULL: \"\" says that there are none");
	while (*at != '\0') {
		size_t length = name_bytes(at, true);

		if (count > LABEL_COUNT_MAX)
			return complain(c, "it has more than %d labels", LABEL_COUNT_MAX);
		if (length == 0 || at[length] != '=' || at[length + 1] != '"')
			return complain(c, "labels look like name=\"value\",name=\"value\"");
		if (is_among(seen, bytes, count, at, length))
			return complain(c, "label %.*s is there already", (int)length, at);
		seen[count] = at;
		bytes[count++] = length;
		at = value_end(at + length + 2);
		if (at == NULL)
			return complain(c, "the value of a label does not end, or has a \\ that "
					   "escapes nothing");
		if (*at == ',' && at[1] != '\0')
			at++;
		else if (*at != '\0')
			return complain(c, "labels look like name=\"value\",name=\"value\"");
	}
	return true;
}

/* Against those before it, which are right. */
static bool
check_family(const struct checking *c, const struct decree_metric *m)
{
	for (uint32_t i = c->index; i > 0; i--) {
		const struct decree_metric *before = &c->rows[i - 1];

		if (strcmp(before->name, m->name) != 0)
			continue;
		if (strcmp(c->rows[c->index - 1].name, m->name) != 0)
			return complain(c, "rows of one name stand together");
		if (before->kind != m->kind || before->unit != m->unit ||
			strcmp(before->help, m->help) != 0)
			return complain(c, "rows of one name have one kind, unit and help");
		if (strcmp(before->labels, m->labels) == 0)
			return complain(c, "this row is there twice: give each its own labels");
	}
	return true;
}

int
metrics_program_check(const struct decree_metric *rows, uint32_t count, char *ret_error)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct checking c = { rows, i, ret_error };

		if (!check_name(&c, &rows[i]) || !check_help(&c, rows[i].help) ||
			!check_labels(&c, rows[i].labels) || !check_family(&c, &rows[i]))
			return -EINVAL;
	}
	return 0;
}
