/* SPDX-License-Identifier: Apache-2.0 */
#include "net/replay.h"

bool
replay_take(struct replay *window, uint64_t counter)
{
	uint64_t word = counter / 64;
	uint64_t newest_word = window->newest / 64;
	uint64_t bit = UINT64_C(1) << (counter % 64);

	if (counter == 0)
		return false;
	if (counter > window->newest) {
		uint64_t steps = word - newest_word;

		if (steps > REPLAY_WORD_COUNT)
			steps = REPLAY_WORD_COUNT;
		for (uint64_t i = 0; i < steps; i++) /* the words that come into the window */
			window->seen[(word - i) % REPLAY_WORD_COUNT] = 0;
		window->newest = counter;
	} else if (newest_word - word >= REPLAY_WORD_COUNT) {
		/* By whole words, not by counters: a word is forgotten when its place is refilled. */
		return false;
	}
	if (window->seen[word % REPLAY_WORD_COUNT] & bit)
		return false;
	window->seen[word % REPLAY_WORD_COUNT] |= bit;
	return true;
}
