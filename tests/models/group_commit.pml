/*
 * Group commit with idempotency and crashes (store/store_writer.c, services/message/message_log.c).
 *
 * Clients each have one message with a key of its own; what has no answer is sent again, and some
 * send again what was answered. The writer takes any of what waits into one transaction, gives each
 * the answer of the first time or the next place in the log, commits, and only then answers, one
 * after the other. It may die between any two steps: then only the disk is left.
 *
 * Holds: what was acknowledged stands where it was acknowledged, for ever; each message stands
 * once; the log has no hole; everybody is answered in the end.
 *
 * variants: 1 it answers before the commit
 * variants: 2 keys are remembered in memory alone
 * variants: 3 the head of the log is written behind the log
 * variants: 4 two of a batch with the same key are not seen to be the same
 */
#ifndef VARIANT
#define VARIANT 0
#endif

#define CLIENTS 3
#define CRASHES 2
#define PLACES (CLIENTS + CRASHES + 4)

/* the disk */
byte disk[PLACES]; /* place -> key; 0: nothing */
byte disk_head;

/* the writer's memory */
byte tx[PLACES];
byte tx_head;
bool waits[CLIENTS];   /* a request is in the queue */
bool doubled[CLIENTS]; /* the same request stands in the queue once more */
bool batched[CLIENTS];
byte given[CLIENTS];   /* its place, in this batch */
byte known[CLIENTS];   /* variant 2 */

/* the clients */
byte answer[CLIENTS]; /* on its way */
byte acked[CLIENTS];
bool asks[CLIENTS];   /* an answer is outstanding */
byte finished;
byte crashes;

#define KEY(i) ((i) + 1)

inline check_disk() {
    byte a, b;
    d_step {
        a = 0;
        do
        :: a < CLIENTS -> assert(acked[a] == 0 || disk[acked[a]] == KEY(a)); a++
        :: else -> break
        od;
        a = 1;
        do
        :: a < PLACES ->
            assert(disk[a] != 0 || disk_head < a);
            b = a + 1;
            do
            :: b < PLACES -> assert(disk[a] == 0 || disk[a] != disk[b]); b++
            :: else -> break
            od;
            a++
        :: else -> break
        od;
        a = 0; b = 0
    }
}

inline die() {
    byte d;
    d_step {
        crashes++;
        d = 0;
        do
        :: d < CLIENTS ->
            waits[d] = false; doubled[d] = false; batched[d] = false; given[d] = 0; known[d] = 0;
            answer[d] = 0; /* what was on its way is lost; what arrived is in acked */
            asks[d] = false;
            d++
        :: else -> break
        od;
        d = 1;
        do
        :: d < PLACES -> tx[d] = disk[d]; d++
        :: else -> break
        od;
        tx_head = disk_head;
        d = 0
    }
}

/* The place that key has, or 0. Looks where the server looks. */
inline find(key, place) {
    byte f;
    d_step {
        place = 0;
        f = 1;
        do
        :: f < PLACES ->
            if
#if VARIANT == 2
            :: tx[f] == key && known[key - 1] -> place = f
#elif VARIANT == 4
            :: tx[f] == key && disk[f] == key -> place = f
#else
            :: tx[f] == key -> place = f
#endif
            :: else
            fi;
            f++
        :: else -> break
        od;
        f = 0
    }
}

inline run_job(i) {
    byte place;
    find(KEY(i), place);
    d_step {
        if
        :: place -> given[i] = place
        :: else ->
            tx_head++;
            tx[tx_head] = KEY(i);
            given[i] = tx_head;
            known[i] = 1
        fi;
        place = 0
    }
}

#define MAY_DIE if :: true :: crashes < CRASHES -> goto crash fi

proctype Writer() {
    byte i;
    bool any;
idle:
    do
    :: finished == CLIENTS -> goto over
    :: waits[0] || waits[1] || waits[2] -> break
    od;
    any = false;
    i = 0;
    do
    :: i < CLIENTS && waits[i] -> waits[i] = false; batched[i] = true; any = true; i++
    :: i < CLIENTS -> i++ /* not there, or came later */
    :: i >= CLIENTS -> break
    od;
    if
    :: !any -> i = 0; goto idle
    :: else
    fi;
    i = 0;
    do
    :: i < CLIENTS && batched[i] ->
        run_job(i);
        if
        :: doubled[i] -> doubled[i] = false; run_job(i) /* both are answered; the last one's counts */
        :: else
        fi;
#if VARIANT == 1
        answer[i] = given[i];
#endif
        MAY_DIE;
        i++
    :: i < CLIENTS && !batched[i] -> i++
    :: i >= CLIENTS -> break
    od;
    skip;
    d_step { /* COMMIT: all or nothing, and on the disk when it returns */
        i = 1;
        do
        :: i < PLACES -> disk[i] = tx[i]; i++
        :: else -> break
        od;
#if VARIANT != 3
        disk_head = tx_head;
#endif
        i = 0
    }
    MAY_DIE;
    do
    :: i < CLIENTS && batched[i] -> answer[i] = given[i]; batched[i] = false; given[i] = 0; i++; MAY_DIE
    :: i < CLIENTS && !batched[i] -> i++
    :: i >= CLIENTS -> break
    od;
#if VARIANT == 3
    disk_head = tx_head;
#endif
    i = 0;
    goto idle;
crash:
    skip;
    die();
    i = 0;
    check_disk();
    goto idle;
over:
    skip;
    check_disk()
}

proctype Client(byte i) {
    byte repeats;
    do
    :: atomic { !asks[i] && acked[i] == 0 -> asks[i] = true; waits[i] = true }
    :: atomic { waits[i] && !doubled[i] && repeats < 1 -> doubled[i] = true; repeats++ } /* a second socket does the same */
    :: atomic {
        answer[i] != 0 ->
        assert(acked[i] == 0 || acked[i] == answer[i]); /* the same again is answered the same */
        acked[i] = answer[i];
        answer[i] = 0;
        asks[i] = false
    }
    :: atomic { acked[i] != 0 && !asks[i] && repeats < 1 -> repeats++; asks[i] = true; waits[i] = true }
    :: acked[i] != 0 && !asks[i] -> break
    od;
    finished++
}

init {
    atomic {
        run Writer();
        run Client(0);
        run Client(1);
        run Client(2)
    }
}
