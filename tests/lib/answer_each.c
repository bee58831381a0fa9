/* SPDX-License-Identifier: Apache-2.0 */
/* For programs with a decree_sink_answer() of their own: what is answered in a burst comes there
 * one by one. */
#include <decree/machine.h>

void
decree_sink_answer_burst(struct decree_sink *sink, const struct decree_command *commands,
	const struct decree_answer *answers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		decree_sink_answer(sink, commands[i].session, commands[i].seq, answers[i].status,
			answers[i].result);
}
