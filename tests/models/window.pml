/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconfiguration window (protocol 12.1-12.3) with ALPHA = 1: the value of slot 1 governs slot 2.
 *
 * Slot 1 holds either an ordinary value or a configuration; it is decided by the old members {0, 1}.
 * If the configuration is chosen there, slot 2 belongs to the new members {1, 2}, else to the old ones.
 * Both configurations have q1 = 1 and q2 = 2, which is legal (q1 + q2 > n) and shows every mistake soonest.
 * Two ballots of different leaders; one promise covers both slots; messages are facts that stay.
 *
 * A leader proposes slot 1 with promises of a quorum of the old members. It proposes slot 2 once it knows
 * slot 1 decided, with promises of a quorum of those who govern slot 2, and by what those promises list.
 *
 * Claims: one value chosen for slot 1, and one for slot 2, votes for slot 2 being counted among those whom
 * the chosen value of slot 1 names. Each -D plants an error:
 *   E31        votes of the old members are counted for slot 2 after the change
 *   UNCHOSEN   a configuration counts for its proposer as soon as it is proposed (E20)
 *   WINDOW     slot 2 is proposed under the old members before slot 1 is decided (E20)
 *   INCUMBENT  the leader that made the change proposes slot 2 without promises of the new members
 */
#define NODES   3
#define Q1      1
#define Q2      2
#define BALLOTS 2
#define CONFIG  9 /* the value of slot 1 that changes the members; ordinary values are 1 and 2 */
#define AT(a, b) ((a) * (BALLOTS + 1) + (b))
#define IS_OLD(a) ((a) <= 1)
#define IS_NEW(a) ((a) >= 1)

byte promised[NODES], vballot1[NODES], vvalue1[NODES], vballot2[NODES], vvalue2[NODES];
bool prepare[BALLOTS + 1];
bool promise[9];
byte promise_vballot1[9], promise_vvalue1[9], promise_vballot2[9], promise_vvalue2[9];
byte accept1[BALLOTS + 1], accept2[BALLOTS + 1];
byte accepted1[9], accepted2[9];
byte chosen1, chosen2;

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
		promise_vballot1[AT(a, b)] = vballot1[a];
		promise_vvalue1[AT(a, b)] = vvalue1[a];
		promise_vballot2[AT(a, b)] = vballot2[a];
		promise_vvalue2[AT(a, b)] = vvalue2[a]
	:: else
	fi
}

inline do_propose1(b)
{
	if
	:: accept1[b] == 0 ->
		i = 0;
		do
		:: i < NODES ->
			if
			:: IS_OLD(i) && promise[AT(i, b)] ->
				votes++;
				if
				:: promise_vballot1[AT(i, b)] > m -> m = promise_vballot1[AT(i, b)]; v = promise_vvalue1[AT(i, b)]
				:: else
				fi
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: votes >= Q1 ->
			if
			:: m > 0 -> accept1[b] = v
			:: m == 0 -> accept1[b] = b
			:: m == 0 -> accept1[b] = CONFIG
			fi
		:: else
		fi
	:: else
	fi
}

/* What the leader of b knows of slot 1: its own value, if a quorum of votes for b is there. */
inline know_slot1(b)
{
	i = 0;
	known = 0;
	votes = 0;
	do
	:: i < NODES ->
		if
		:: IS_OLD(i) && accepted1[AT(i, b)] != 0 -> votes++
		:: else
		fi;
		i++
	:: else -> break
	od;
	if
	:: votes >= Q2 -> known = accept1[b]
	:: else
#ifdef UNCHOSEN
		-> if
		:: accept1[b] == CONFIG -> known = CONFIG
		:: else
		fi
#endif
#ifdef WINDOW
		-> known = 1
#endif
	fi;
	votes = 0;
	i = 0
}

inline do_propose2(b)
{
	if
	:: accept2[b] == 0 && accept1[b] != 0 ->
		know_slot1(b);
		do
		:: i < NODES ->
			if
			:: promise[AT(i, b)] && (known == CONFIG && IS_NEW(i) || known != CONFIG && IS_OLD(i)) ->
				votes++;
				if
				:: promise_vballot2[AT(i, b)] > m -> m = promise_vballot2[AT(i, b)]; v = promise_vvalue2[AT(i, b)]
				:: else
				fi
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: m == 0 -> v = b
		:: else
		fi;
		if
		:: known != 0 && votes >= Q1 -> accept2[b] = v
#ifdef INCUMBENT
		:: known == CONFIG -> accept2[b] = v
#endif
		:: else
		fi
	:: else
	fi
}

inline do_accept1(a, b)
{
	if
	:: accept1[b] != 0 && b >= promised[a] && accepted1[AT(a, b)] == 0 && IS_OLD(a) ->
		promised[a] = b;
		vballot1[a] = b;
		vvalue1[a] = accept1[b];
		accepted1[AT(a, b)] = accept1[b];
		i = 0;
		do
		:: i < NODES ->
			if
			:: accepted1[AT(i, b)] != 0 -> votes++
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: votes >= Q2 ->
			assert(chosen1 == 0 || chosen1 == accept1[b]);
			chosen1 = accept1[b]
		:: else
		fi
	:: else
	fi
}

/* Whoever is sent an Accept of slot 2 takes it; who counts, the claim below says. */
inline do_accept2(a, b)
{
	if
	:: accept2[b] != 0 && b >= promised[a] && accepted2[AT(a, b)] == 0 ->
		promised[a] = b;
		vballot2[a] = b;
		vvalue2[a] = accept2[b];
		accepted2[AT(a, b)] = accept2[b]
	:: else
	fi
}

/*
 * A leader calls slot 2 of its ballot chosen when a quorum of those whom it takes for the members has
 * accepted it. Two leaders must never call different values chosen.
 */
inline do_learn2(b)
{
	if
	:: accept2[b] != 0 ->
		know_slot1(b);
		do
		:: i < NODES ->
			if
#ifdef E31
			:: accepted2[AT(i, b)] != 0 && IS_OLD(i) -> votes++
#else
			:: accepted2[AT(i, b)] != 0 && (known == CONFIG && IS_NEW(i) || known != CONFIG && IS_OLD(i)) -> votes++
#endif
			:: else
			fi;
			i++
		:: else -> break
		od;
		if
		:: known != 0 && votes >= Q2 ->
			assert(chosen2 == 0 || chosen2 == accept2[b]);
			chosen2 = accept2[b]
		:: else
		fi
	:: else
	fi
}

active proctype world()
{
	byte a, b, i, m, v, votes, known, what;

	do
	:: atomic {
		pick(b, 1, BALLOTS);
		pick(what, 0, 5);
		if
		:: what == 0 -> prepare[b] = true
		:: what == 1 -> do_propose1(b)
		:: what == 2 -> do_propose2(b)
		:: what == 3 -> pick(a, 0, NODES - 1); do_promise(a, b)
		:: what == 4 -> pick(a, 0, 1); do_accept1(a, b)
		:: what == 5 -> pick(a, 0, NODES - 1); do_accept2(a, b); do_learn2(b)
		fi;
		a = 0; b = 0; i = 0; m = 0; v = 0; votes = 0; known = 0; what = 0
	}
	od
}
