/*
 * Who owns a shard of the log (services/message/message_shard.c, message_owner_plan.c): an instance
 * takes it from another whose beat stands still, by counting up the fence in the shard's row; every
 * commit checks, in its own transaction, that the fence still stands where its owner took it. An
 * instance may freeze at any step and go on much later, believing what it believed; the shard may
 * be given away in peace.
 *
 * A commit is: read the end of the log, think, append behind it, check the fence, commit (the
 * transaction's writes are seen by nobody before); answer. Transactions of two instances may lie
 * beside each other: that a lock keeps them apart is not relied on, only that one of two that
 * append at the same place fails (the key of the log), and that a commit is one step.
 *
 * Holds: at each place of the log one message, whose sender alone was answered with that place; no
 * fence is held by two instances; what was answered stays.
 *
 * variants: 1 the fence is checked when a commit begins, not when it ends
 * variants: 2 the fence is not checked: the owner goes by what it remembers
 * variants: 3 who takes a shard does not count the fence up
 * variants: 4 the fence is read and counted up in two steps
 */
#ifndef VARIANT
#define VARIANT 0
#endif

#define INSTANCES 2
#define PLACES 4

byte fence;                /* in the row */
byte log[PLACES];          /* whose message (instance + 1) stands there */
byte fence_of[PLACES];     /* under which it was written */
byte length;
byte held[INSTANCES];      /* the fence that an instance believes to hold; 0: none */
byte takes;

inline take(me) { /* seen is read */
#if VARIANT == 3
    atomic { fence = (fence == 0 -> 1 : fence); held[me] = fence }
#elif VARIANT == 4
    atomic { fence = seen + 1; held[me] = seen + 1 }
#else
    /* UPDATE ... SET fence = seen + 1 WHERE fence = seen */
    atomic {
        if
        :: fence == seen -> fence = seen + 1; held[me] = fence
        :: else -> skip
        fi
    }
#endif
    atomic {
        if
        :: held[me] != 0 && held[me] == fence && held[1 - me] == held[me] -> assert(false) /* two hold it */
        :: else -> skip
        fi
    }
}

inline send(me) {
    mine = held[me];
#if VARIANT == 1
    is_owner = (fence == mine);
#endif
    place = length; /* read in the transaction */
    /* it may freeze here for as long as it likes */
    atomic {
#if VARIANT == 0 || VARIANT == 3 || VARIANT == 4
        is_owner = (fence == mine);
#elif VARIANT == 2
        is_owner = true;
#endif
        if
        :: is_owner && place < PLACES && log[place] == 0 ->
            /* nobody who holds a later fence has written before it */
            assert(place == 0 || fence_of[place - 1] <= mine);
            assert(fence == mine); /* what is committed was the owner's */
            log[place] = me + 1;
            fence_of[place] = mine;
            length = place + 1
        :: else -> skip /* rolled back: not answered; asked again of the owner */
        fi
    }
}

proctype Instance(byte me) {
    byte seen, place, mine;
    bool is_owner;
end:
    do
    :: atomic { takes < 3 -> takes++; seen = fence }; take(me)
    :: held[me] != 0 && length < PLACES -> send(me)
    :: atomic { held[me] != 0 && held[me] != fence -> held[me] = 0 } /* it finds out, some time */
    od
}

/* Given away in peace: the giver counts up; the taker counts up again. */
active proctype Giver() {
end:
    atomic { held[0] != 0 && held[0] == fence -> fence = fence + 1; held[0] = 0 }
}

init {
    atomic { run Instance(0); run Instance(1) }
}
