/*
 * The resume cursor (services/message/message_sync.c): one number, the newest lsn that the device
 * has seen, stands for all its conversations; "what has an lsn above it" is what it missed.
 *
 * This is only so if a reader that sees lsn n sees everything below n: an lsn is given inside the
 * order of commits. Here two conversations are written to while a device syncs again and again; the
 * database may be put back to a backup, which gives the log another epoch.
 *
 * Holds: after a sync the device has exactly what was in the log when it was answered.
 *
 * variants: 1 an lsn is taken before the commit, by writers that commit in any order
 * variants: 2 the new cursor is read after the list, from a newer state
 * variants: 3 the cursor is taken for the first lsn that is new
 * variants: 4 a restored backup keeps its epoch
 */
#ifndef VARIANT
#define VARIANT 0
#endif

#define CONVERSATIONS 2
#define MESSAGES 5

/* the log: which messages stand in a conversation (bits), and the lsn of the last one */
byte log[CONVERSATIONS];
byte head[CONVERSATIONS];
byte lsn;   /* newest committed */
byte epoch;
byte written; /* messages, each its own bit */

byte backup[CONVERSATIONS], backup_head[CONVERSATIONS], backup_lsn;
bool has_backup, was_restored;

byte next_lsn; /* variant 1: given, committed or not */
byte syncs;

inline commit(c, n) {
    log[c] = log[c] | (1 << written);
    written++;
    head[c] = (n > head[c] -> n : head[c]);
    lsn = (n > lsn -> n : lsn)
}

proctype Writer(byte c) {
    byte mine;
    do
    :: atomic { written < MESSAGES && mine == 0 ->
#if VARIANT == 1
        next_lsn++; mine = next_lsn
#else
        mine = lsn + 1; /* one writer orders all: taking it and committing is one step */
        commit(c, mine);
        mine = 0
#endif
    }
    :: atomic { mine != 0 && written < MESSAGES -> commit(c, mine); mine = 0 }
    :: written >= MESSAGES -> break
    od
}

/* At some moment a backup is made, and at a later one the database becomes it again. */
proctype Operator() {
    do
    :: atomic { !has_backup ->
        has_backup = true;
        backup[0] = log[0]; backup[1] = log[1];
        backup_head[0] = head[0]; backup_head[1] = head[1];
        backup_lsn = lsn }
    :: atomic { has_backup && !was_restored ->
        was_restored = true;
        log[0] = backup[0]; log[1] = backup[1];
        head[0] = backup_head[0]; head[1] = backup_head[1];
        lsn = backup_lsn;
#if VARIANT != 4
        epoch++
#endif
    }
    :: break
    od
}

proctype Device() {
    byte cursor, cursor_epoch, c;
    byte holds[CONVERSATIONS], was[CONVERSATIONS];
    do
    :: syncs < 4 ->
        atomic {
            syncs++;
            was[0] = log[0]; was[1] = log[1]; /* one snapshot */
            c = 0;
            do
            :: c < CONVERSATIONS ->
                if
                :: cursor_epoch != epoch || cursor > lsn -> holds[c] = log[c] /* reset: anew */
#if VARIANT == 3
                :: cursor_epoch == epoch && cursor <= lsn && head[c] > cursor + 1 -> holds[c] = log[c]
                :: cursor_epoch == epoch && cursor <= lsn && head[c] <= cursor + 1
#else
                :: cursor_epoch == epoch && cursor <= lsn && head[c] > cursor -> holds[c] = log[c]
                :: cursor_epoch == epoch && cursor <= lsn && head[c] <= cursor
#endif
                fi;
                c++
            :: else -> break
            od;
            assert(holds[0] == was[0] && holds[1] == was[1]);
#if VARIANT != 2
            cursor = lsn;
#endif
            cursor_epoch = epoch
        }
#if VARIANT == 2
        atomic { cursor = lsn; cursor_epoch = epoch }
#endif
    :: syncs >= 4 -> break
    od
}

init {
    atomic {
        run Writer(0);
        run Writer(1);
        run Operator();
        run Device()
    }
}
