/*
 * The outbox (bus/): what follows from a change is written in the change's own transaction and
 * handed on afterwards, as often as it takes, to consumers who know what they have done already.
 *
 * Two events; a change may fail and leave nothing. Two relays (one that was thought dead may still
 * be at it: its lease runs out) hand on and mark. The process may die between any two steps; what
 * the consumer did and what is marked is on disks.
 *
 * Holds: what was committed has its effect once, and nothing else has one.
 *
 * variants: 1 it is marked before it is handed on
 * variants: 2 the consumer does not know what it has done
 * variants: 3 the outbox is written after the commit
 * variants: 4 what is in the outbox of a failed change is handed on
 */
#ifndef VARIANT
#define VARIANT 0
#endif

#define EVENTS 2
#define CRASHES 2

/* on disks */
bool committed[EVENTS];
bool outbox[EVENTS]; /* a row that is not marked */
bool handled[EVENTS];   /* the consumer's own record of keys */
byte effects[EVENTS];

byte decided; /* changes that ended, one way or the other */
byte crashes;
byte life;    /* whoever began in an earlier one is gone */

proctype Change(byte e) {
    if
    :: true ->
#if VARIANT == 4
        outbox[e] = true;
#endif
        skip /* rolled back */
    :: true ->
#if VARIANT == 3
        byte mine = life;
        committed[e] = true;
        if
        :: life == mine -> outbox[e] = true
        :: life != mine /* died in between */
        fi
#else
        atomic { committed[e] = true; outbox[e] = true }
#endif
    fi;
    decided++
}

/* Takes a row, hands it on, marks it; a lease that ran out lets the other take it meanwhile. */
proctype Relay() {
    byte e, mine;
    do
    :: decided == EVENTS && !outbox[0] && !outbox[1] -> break
    :: atomic { (outbox[0] || outbox[1]) ->
            if
            :: outbox[0] -> e = 0
            :: outbox[1] -> e = 1
            fi;
            mine = life
        }
#if VARIANT == 1
        atomic { if :: life == mine -> outbox[e] = false :: else fi }
#endif
        atomic {
            if
#if VARIANT == 2
            :: life == mine -> effects[e]++
#else
            :: life == mine && !handled[e] -> handled[e] = true; effects[e]++ /* one transaction of the consumer's */
            :: life == mine && handled[e]
#endif
            :: else
            fi
        }
        atomic { if :: life == mine -> outbox[e] = false :: else fi }
    od
}

proctype Death() {
    do
    :: atomic { crashes < CRASHES -> crashes++; life++ }
    :: break
    od
}

init {
    pid first = _nr_pr;
    atomic {
        run Change(0);
        run Change(1);
        run Relay();
        run Relay();
        run Death()
    }
    _nr_pr == first;
    assert(effects[0] == (committed[0] -> 1 : 0));
    assert(effects[1] == (committed[1] -> 1 : 0))
}
