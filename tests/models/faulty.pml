/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 1 with damaged copies (protocol 5.6, 11.4): three acceptors, two ballots and three
 * corruptions anywhere, or three ballots and one. A damaged copy is FAULTY_ID (its ballot is still known, from the identifier)
 * or FAULTY_UNKNOWN (it may be anything). Messages are facts that stay, as in paxos.pml.
 *
 * A candidate chooses from a quorum of promises: the highest ballot counts, damaged or not; the value may
 * come from any intact copy of that ballot, wherever it is; without one the candidate waits.
 *
 * Claim: at most one value is ever chosen, however many copies rot. Each -D plants an error:
 *   EMPTY     a damaged copy is reported as "nothing accepted"
 *   LOWER     if the highest ballot has no intact copy, the next lower one is taken
 *   TRUNCATE  recovery drops a damaged record (and what it knew of its ballot)
 *   UNKNOWN   FAULTY_UNKNOWN counts like an empty slot, only FAULTY_ID is respected
 */
#define ACCEPTORS 3
#define QUORUM    2
#ifndef BALLOTS
#define BALLOTS 2
#endif
#ifndef DAMAGES
#define DAMAGES 3
#endif
#define AT(a, b)  ((a) * (BALLOTS + 1) + (b))

#define OK             0
#define FAULTY_ID      1
#define FAULTY_UNKNOWN 2

byte promised[ACCEPTORS], vballot[ACCEPTORS], vvalue[ACCEPTORS], state[ACCEPTORS];
bool prepare[BALLOTS + 1];
bool promise[12];
byte promise_vballot[12], promise_vvalue[12], promise_state[12];
byte accept[BALLOTS + 1];
byte accepted[12]; /* votes that have left: facts for ever, whatever happens to the copy */
byte chosen;
byte damages;

inline pick(x, low, high)
{
	x = low;
	do
	:: x < high -> x++
	:: break
	od
}

inline do_promise(a, b)
{
	if
	:: prepare[b] && b >= promised[a] && !promise[AT(a, b)] ->
		promised[a] = b;
		promise[AT(a, b)] = true;
		promise_state[AT(a, b)] = state[a];
		promise_vballot[AT(a, b)] = vballot[a];
		promise_vvalue[AT(a, b)] = (state[a] == OK -> vvalue[a] : 0);
#ifdef EMPTY
		if
		:: state[a] != OK ->
			promise_state[AT(a, b)] = OK;
			promise_vballot[AT(a, b)] = 0
		:: else
		fi
#endif
	:: else
	fi
}

/* An intact copy of ballot m, on any node, in the quorum or not. */
inline find_intact(m)
{
	i = 0;
	v = 0;
	do
	:: i < ACCEPTORS ->
		if
		:: state[i] == OK && vballot[i] == m -> v = vvalue[i]
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

inline do_propose(b, out)
{
	votes = 0;
	m = 0;
	i = 0;
	unknown = false;
	do
	:: i < ACCEPTORS ->
		if
		:: i != out && promise[AT(i, b)] ->
			votes++;
			if
#ifdef UNKNOWN
			:: promise_state[AT(i, b)] == FAULTY_UNKNOWN
#else
			:: promise_state[AT(i, b)] == FAULTY_UNKNOWN -> unknown = true
#endif
#ifdef LOWER
			:: promise_state[AT(i, b)] == FAULTY_ID
			:: promise_state[AT(i, b)] == OK && promise_vballot[AT(i, b)] > m -> m = promise_vballot[AT(i, b)]
#else
			:: promise_state[AT(i, b)] != FAULTY_UNKNOWN && promise_vballot[AT(i, b)] > m ->
				m = promise_vballot[AT(i, b)]
#endif
			:: else
			fi
		:: else
		fi;
		i++
	:: else -> break
	od;
	if
	:: m == 0 -> v = b
	:: else -> find_intact(m)
	fi;
	if
	:: votes >= QUORUM && !unknown && v != 0 && accept[b] == 0 -> accept[b] = v
	:: else
	fi
}

inline count_votes(b)
{
	votes = 0;
	i = 0;
	do
	:: i < ACCEPTORS ->
		if
		:: accepted[AT(i, b)] != 0 -> votes++
		:: else
		fi;
		i++
	:: else -> break
	od;
	if
	:: votes >= QUORUM ->
		assert(chosen == 0 || chosen == accept[b]);
		chosen = accept[b]
	:: else
	fi
}

/* A new Accept replaces a damaged copy: the mark is cleared. */
inline do_accept(a, b)
{
	if
	:: accept[b] != 0 && b >= promised[a] && accepted[AT(a, b)] == 0 ->
		promised[a] = b;
		vballot[a] = b;
		vvalue[a] = accept[b];
		state[a] = OK;
		accepted[AT(a, b)] = accept[b];
		count_votes(b)
	:: else
	fi
}

inline do_damage(a)
{
	if
	:: vballot[a] != 0 && state[a] == OK ->
		damages++;
#ifdef TRUNCATE
		vballot[a] = 0;
		vvalue[a] = 0
#else
		vvalue[a] = 0;
		if
		:: state[a] = FAULTY_ID
		:: state[a] = FAULTY_UNKNOWN; vballot[a] = 0
		fi
#endif
	:: else
	fi
}

active proctype world()
{
	byte a, b, i, m, v, votes;
	bool unknown;

	do
	:: atomic {
		pick(b, 1, BALLOTS);
		pick(a, 0, ACCEPTORS);
		if
		:: a == 0 -> prepare[b] = true
		:: a < ACCEPTORS && prepare[b] -> do_promise(a, b)
		:: a < ACCEPTORS -> do_accept(a, b)
		:: prepare[b] -> do_propose(b, a)
		:: a < ACCEPTORS && damages < DAMAGES -> do_damage(a)
		:: else
		fi;
		a = 0; b = 0; i = 0; m = 0; v = 0; votes = 0; unknown = false
	}
	od
}
