/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slot: phase 1 and phase 2 with three acceptors and three ballots of different proposers.
 * (Paxos Made Simple, section 2; protocol rules 3, 5.2-5.6, 6.3, 6.4.)
 *
 * Messages are facts that stay: each may be received at any time, repeatedly, or never. That covers
 * loss, delay, reordering and duplication. An acceptor may crash once; what was not durable is gone.
 * Every ballot would propose a value of its own, so that any disagreement shows.
 *
 * Claim: at most one value is ever chosen. Each -DEk plants a known error; all of them break the claim.
 */
#define ACCEPTORS 3
#define QUORUM    2
#ifdef E10
#define BALLOTS   4 /* the shortest history that shows it has four, and no crash */
#define CRASHES   0
#else
#define BALLOTS   3
#define CRASHES   1
#endif
#define AT(a, b)  ((a) * (BALLOTS + 1) + (b))

byte promised[ACCEPTORS], vballot[ACCEPTORS], vvalue[ACCEPTORS];
byte disk_promised[ACCEPTORS], disk_vballot[ACCEPTORS], disk_vvalue[ACCEPTORS];

bool prepare[BALLOTS + 1];
bool promise[16];       /* [AT(a, b)] was sent ... */
byte promise_vballot[16], promise_vvalue[16]; /* ... and said this */
byte accept[BALLOTS + 1];  /* value proposed at b, 0 = none yet */
byte again[BALLOTS + 1];   /* E27: a second one */
byte accepted[16];         /* [AT(a, b)] value that a accepted at b, 0 = none */
byte chosen;
byte crashes;

inline persist(a)
{
	disk_promised[a] = promised[a];
	disk_vballot[a] = vballot[a];
	disk_vvalue[a] = vvalue[a]
}

inline learn(v)
{
	assert(chosen == 0 || chosen == v);
	chosen = v
}

inline pick(x, low, high)
{
	x = low;
	do
	:: x < high -> x++
	:: break
	od
}

/* Votes for (b, v), or with E10 for v at any ballot. */
inline count_votes(b, v)
{
	votes = 0;
	i = 0;
	do
	:: i < ACCEPTORS ->
#ifdef E10
		if
		:: accepted[AT(i, 1)] == v || accepted[AT(i, 2)] == v || accepted[AT(i, 3)] == v || accepted[AT(i, 4)] == v -> votes++
		:: else
		fi;
#else
		if
		:: accepted[AT(i, b)] == v -> votes++
		:: else
		fi;
#endif
		i++
	:: else -> break
	od;
	i = 0
}

inline do_promise(a, b)
{
	if
	:: prepare[b] && b >= promised[a] && !promise[AT(a, b)] ->
		promised[a] = b;
#ifndef E14
		persist(a);
#endif
		promise[AT(a, b)] = true;
#ifndef E8_VALUE
		promise_vvalue[AT(a, b)] = vvalue[a];
#ifdef E8_BALLOT
		promise_vballot[AT(a, b)] = (vballot[a] -> 1 : 0)
#else
		promise_vballot[AT(a, b)] = vballot[a]
#endif
#endif
	:: else
	fi
}

/* Choose from the promises of the quorum {all but `out`} (out = ACCEPTORS: of all three). */
inline do_propose(b, out)
{
	votes = 0;
	m = 0;
	v = 0;
	i = 0;
	do
	:: i < ACCEPTORS ->
		if
		:: i != out && promise[AT(i, b)] ->
			votes++;
			if
#ifdef E1
			:: promise_vballot[AT(i, b)] > 0 -> m = promise_vballot[AT(i, b)]; v = promise_vvalue[AT(i, b)]
#else
			:: promise_vballot[AT(i, b)] > m -> m = promise_vballot[AT(i, b)]; v = promise_vvalue[AT(i, b)]
#endif
			:: else
			fi
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
#ifdef E2
	v = b;
#endif
	if
	:: v == 0 -> v = b
	:: else
	fi;
#ifdef E3
	if
	:: votes >= 1 && accept[b] == 0 -> accept[b] = v
#else
	if
	:: votes >= QUORUM && accept[b] == 0 -> accept[b] = v
#endif
#ifdef E27
	:: votes >= QUORUM && accept[b] != 0 && again[b] == 0 -> again[b] = accept[b] + 10
#endif
	:: else
	fi
}

inline do_accept(a, b)
{
	v = accept[b];
#ifdef E27
	if
	:: again[b] != 0 -> v = again[b]
	:: true
	fi;
#endif
	if
#ifdef E4
	:: v != 0 && accepted[AT(a, b)] == 0 ->
#else
	:: v != 0 && b >= promised[a] && accepted[AT(a, b)] == 0 ->
#endif
#ifndef E9
		if
		:: b > promised[a] -> promised[a] = b
		:: else
		fi;
#endif
		vballot[a] = b;
		vvalue[a] = v;
#ifndef E14
		persist(a);
#endif
		accepted[AT(a, b)] = v;
#ifdef E28
		learn(v);
#else
		count_votes(b, v);
		if
		:: votes >= QUORUM -> learn(v)
		:: else
		fi
#endif
	:: else
	fi
}

inline do_crash(a)
{
	crashes++;
#ifdef E6
	disk_promised[a] = 0;
	disk_vballot[a] = 0;
	disk_vvalue[a] = 0;
#endif
	promised[a] = disk_promised[a];
	vballot[a] = disk_vballot[a];
	vvalue[a] = disk_vvalue[a]
}

active proctype world()
{
	byte a, b, i, m, v, votes;

	do
	:: atomic {
		pick(b, 1, BALLOTS);
		pick(a, 0, ACCEPTORS);
		if
		:: a == 0 -> prepare[b] = true
		:: a < ACCEPTORS && prepare[b] -> do_promise(a, b)
		:: a < ACCEPTORS -> do_accept(a, b)
		:: prepare[b] -> do_propose(b, a)
		:: a < ACCEPTORS && crashes < CRASHES -> do_crash(a)
		:: else
		fi;
		a = 0; b = 0; m = 0; v = 0; votes = 0
	}
	od
}
