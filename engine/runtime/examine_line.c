/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of an examination: the same fields for a reader and, as JSON, for a program. Names and
 * words are ours and need no escapes; a sentence may quote a path, which line_word() escapes. */
#include "engine/runtime/examine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
add(struct examine_line *l, const char *text)
{
	size_t bytes = strlen(text);

	if (bytes >= sizeof(l->text) - l->used)
		return; /* cannot be: see EXAMINE_LINE_BYTES */
	memcpy(l->text + l->used, text, bytes + 1);
	l->used += bytes;
}

static void
add_char(struct examine_line *l, char c)
{
	const char text[] = { c, '\0' };

	add(l, text);
}

static void
add_quoted(struct examine_line *l, const char *text)
{
	char escape[8];

	add(l, "\"");
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			add(l, "\\");
		if ((unsigned char)*text < ' ') {
			(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char)*text);
			add(l, escape);
		} else {
			add_char(l, *text);
		}
	}
	add(l, "\"");
}

static void
add_name(struct examine_line *l, const char *name)
{
	if (l->is_json) {
		if (l->text[l->used - 1] != '{')
			add(l, ",");
		add_quoted(l, name);
		add(l, ":");
		return;
	}
	add(l, "  ");
	for (; *name != '\0'; name++)
		add_char(l, *name == '_' ? ' ' : *name);
	add(l, " ");
}

void
line_begin(struct examine_line *l, bool is_json, const char *type)
{
	l->is_json = is_json;
	l->used = 0;
	if (is_json) {
		add(l, "{");
		line_word(l, "type", type);
	} else {
		add(l, type);
	}
}

void
line_number(struct examine_line *l, const char *name, uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	add_name(l, name);
	add(l, text);
}

void
line_word(struct examine_line *l, const char *name, const char *value)
{
	add_name(l, name);
	if (l->is_json)
		add_quoted(l, value);
	else
		add(l, value);
}

void
line_ballot(struct examine_line *l, const char *name, struct decree_ballot ballot)
{
	char text[48];

	(void)snprintf(
		text, sizeof(text), "%" PRIu64 ".%" PRIu64, ballot.n >> 16, ballot.n & 0xffff);
	line_word(l, name, text);
}

void
line_hex(struct examine_line *l, const char *name, const uint8_t *bytes, uint32_t count)
{
	static const char digits[] = "0123456789abcdef";

	line_word(l, name, "");
	if (l->is_json)
		l->used--; /* the closing quote */
	for (uint32_t i = 0; i < count; i++) {
		add_char(l, digits[bytes[i] >> 4]);
		add_char(l, digits[bytes[i] & 15]);
	}
	if (l->is_json)
		add(l, "\"");
}

void
line_digest(struct examine_line *l, const char *name, struct decree_digest digest)
{
	char text[40];

	(void)snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, digest.hi, digest.lo);
	line_word(l, name, text);
}

void
line_below(struct examine_line *l, const char *format, ...)
{
	char text[512];
	va_list arguments;

	if (l->is_json)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	add(l, "\n    ");
	add(l, text);
}

void
line_list_begin(struct examine_line *l, const char *name)
{
	add_name(l, name);
	add(l, "[");
}

void
line_list_item(struct examine_line *l)
{
	add(l, l->text[l->used - 1] == '[' ? "{" : ",{");
}

void
line_list_item_end(struct examine_line *l)
{
	add(l, "}");
}

void
line_list_end(struct examine_line *l)
{
	add(l, "]");
}

const char *
line_end(struct examine_line *l)
{
	if (l->is_json)
		add(l, "}");
	return l->text;
}
