/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file replay.h
 * Which counters of an authenticated stream have been seen: a bitmap of the newest 1,024.
 *
 * A frame may arrive up to 960 counters late and still be taken, once: the window is kept in words
 * of 64, and a whole word is given up when its place is needed. Reordering in a local network is a
 * few frames deep and a burst is 32, so this is 30 bursts. Pure.
 */
#ifndef DECREE_NET_REPLAY_H
#define DECREE_NET_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WORD_COUNT 16  /* of 64 counters */
#define REPLAY_REACH      960 /* a counter this much older than the newest is still told apart */

struct replay {
	uint64_t newest;                  /* highest counter taken, 0 = none */
	uint64_t seen[REPLAY_WORD_COUNT]; /* bit c % 64 of word c / 64 % 16 */
};

/** Call only after the tag was found right: a forged counter must not move the window.
 * @return true: fresh, and from now on seen. false: seen before, too old to tell, or 0 */
bool replay_take(struct replay *window, uint64_t counter);

#endif
