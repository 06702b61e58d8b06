/* What Revoke's OK promises: a Verify that begins after it, on any replica, does not accept the key, although every
   replica answers from its own memory and may stall or be cut off for any time between any two of its steps.

   One replica may have key K in memory. Entry 2 of the log revokes K; entry 1 is a change of something else. Other
   replicas can only keep Revoke waiting, so one stands for each of them.

   Time is told by counters, which a tick moves and which stop where more makes no difference. So there is no last tick:
   what holds here holds for runs of any length. ROWS bounds how many of the replica's incarnations are in the table at
   once, not how many there ever are. Clocks are perfect here, so W may be as short as L; the program's is longer.

   Each BUG_ is a mistake that is easy to make. scripts/model shows that it is found, and that all is well without. */

#ifndef L
#define L 2                    /* How many ticks a lease lasts. */
#endif
#ifndef W
#define W L                    /* How many ticks Revoke waits for a replica that says nothing. */
#endif
#ifndef ROWS
#define ROWS 2
#endif

#define NONE 0
#define LIVE 1
#define DEAD 2
#define UNSEEN (W + 1)

#define BEGUN 1
#define VALID 2
#define REVOKED 3

/* The database. */
byte head;                     /* The last entry of the log. */
byte row[ROWS] = NONE;         /* The replica's incarnations. Where one is gone there is room for another. */
bool acked[ROWS];              /* Whether it acknowledged entry 2. */
byte dead_for[ROWS] = W;       /* Ticks since it was marked dead, up to W. */

/* The process that revokes. */
byte since_commit = W;         /* Ticks since the answer to COMMIT, up to W. */
byte seen_dead[ROWS] = UNSEEN; /* Ticks since it first saw the row dead, up to W. */
bool waited[ROWS];             /* The rows that it waits for. */
bool ok;                       /* Revoke has returned OK. */

/* The replica. */
byte mine;                     /* Its row. */
byte applied;                  /* The last entry that it applied. */
byte since_t0 = L;             /* Ticks since its poll began, up to L. */
byte fresh;                    /* Ticks left of its lease. */
bool cached;                   /* It has K in memory, as valid. */
byte flight;                   /* Its read of K from the database, one for all who miss K. */
#ifdef BUG_JOIN_POISONED
bool poisoned;
#endif
#ifdef BUG_COLD_START
bool started;
#endif
byte deadline;                 /* Ticks left of the lease that Verify loaded. */

/* Revoke waits no longer for a row that is not there. */
inline delete(r) {
    row[r] = NONE;
    acked[r] = 0;
    dead_for[r] = W;
    seen_dead[r] = UNSEEN;
    waited[r] = 0
}

/* What happens to a row at any time. First of the processes here, so that _pid is the row's number. */
active [ROWS] proctype Row() {
    do
    /* Some process marks it dead, for this revocation or another, however early. */
    :: d_step { row[_pid] == LIVE -> row[_pid] = DEAD; dead_for[_pid] = 0 }
    /* The process that revokes sees it dead, and then reads its clock. */
#ifdef BUG_SEEN_EARLY
    :: d_step { row[_pid] == LIVE && seen_dead[_pid] == UNSEEN -> seen_dead[_pid] = 0 }
#endif
    :: d_step { row[_pid] == DEAD && seen_dead[_pid] == UNSEEN -> seen_dead[_pid] = 0 }
    /* Some process that has seen it dead for W, so not within W of the mark, deletes it. */
#ifdef BUG_REMOVE_EARLY
    :: d_step { row[_pid] == DEAD -> delete(_pid) }
#else
    :: d_step { row[_pid] == DEAD && dead_for[_pid] == W -> delete(_pid) }
#endif
#ifdef BUG_REGISTER_ASYNC
    /* The database restarts without the row, which was not on disk yet. */
    :: d_step { row[_pid] == LIVE -> delete(_pid) }
#endif
#ifdef BUG_MARK_ASYNC
    /* Or without the mark. */
    :: d_step { row[_pid] == DEAD -> row[_pid] = LIVE }
#endif
    od
}

active proctype Clock() {
    byte i;
    do
    :: d_step {
           if :: fresh > 0 -> fresh-- :: else fi;
           if :: deadline > 0 -> deadline-- :: else fi;
           if :: since_t0 < L -> since_t0++ :: else fi;
           if :: since_commit < W -> since_commit++ :: else fi;
           i = 0;
           do
           :: i < ROWS ->
               if :: dead_for[i] < W -> dead_for[i]++ :: else fi;
               if :: seen_dead[i] < W -> seen_dead[i]++ :: else fi;
               i++
           :: else -> break
           od;
           i = 0
       }
    od
}

/* A poll's statement shows its row and the log at one moment. It may return a part of the log only. */
inline read_log() {
    atomic {
        alive = (row[mine] == LIVE);
        seen = head;
        whole = 1;
        if
        :: seen == 2 && applied == 0 -> seen = 1; whole = 0
        :: true
        fi
    }
}

/* A new incarnation, if there is room. */
inline register() {
    d_step {
#ifdef BUG_SWAP_ROW
        delete(mine);
#endif
        i = 0;
        do
        :: i < ROWS && row[i] == NONE -> row[i] = LIVE; mine = i; break
        :: i < ROWS && row[i] != NONE -> i++
        :: i == ROWS -> break
        od;
        i = 0
    }
}

/* Under the lock of K's part of the cache. A read under way is poisoned: neither kept nor shared from here on. */
inline apply() {
    d_step {
        if
#ifdef BUG_COLD_START
        /* "At the first poll there is nothing in memory yet." */
        :: seen == 2 && applied < 2 && started ->
#else
        :: seen == 2 && applied < 2 ->
#endif
            cached = 0;
#ifdef BUG_JOIN_POISONED
            poisoned = (flight != NONE)
#elif !defined(BUG_NO_POISON)
            flight = NONE
#endif
        :: else
        fi;
#ifdef BUG_COLD_START
        started = 1;
#endif
        applied = seen
    }
}

inline extend() {
    d_step {
#ifdef BUG_TRUNCATED
        fresh = L - since_t0
#else
        if :: whole -> fresh = L - since_t0 :: else fi
#endif
    }
}

/* May be lost. What it applied holds for its earlier incarnations as well, so it may acknowledge for them. */
inline ack() {
    if
    :: d_step {
           i = 0;
           do
           :: i < ROWS -> if :: row[i] != NONE && seen == 2 -> acked[i] = 1 :: else fi; i++
           :: else -> break
           od;
           i = 0
       }
    :: true
    fi
}

/* And it may delete their rows, once no lease rests on a poll of theirs. With neither this nor that, a replica that was
   marked dead too early makes Revoke wait for W, however soon it is back. */
inline delete_older() {
    if
    :: d_step {
#ifndef BUG_DELETE_EARLY
           whole ->
#endif
           i = 0;
           do
           :: i < ROWS -> if :: i != mine -> delete(i) :: else fi; i++
           :: else -> break
           od;
           i = 0
       }
    :: true
    fi
}

active proctype Replica() {
    byte seen, i;
    bool alive, whole;
    do
    /* A poll: at any time, be it for the timer, for a hint, or for a Verify without a lease. */
    :: since_t0 = 0;
       read_log();
#ifdef BUG_T0_LATE
       since_t0 = 0;
#endif
       if
#ifndef BUG_ROW_UNCHECKED
       :: !alive ->
           register();
#ifdef BUG_REGISTER_LATE
           /* "What that poll read is as good now." */
           apply();
           extend()
#endif
#endif
       :: else ->
#ifdef BUG_ACK_EARLY
           ack();
#endif
#ifdef BUG_EXTEND_EARLY
           extend();
#endif
           apply();
           extend();
           ack();
           delete_older()
       fi;
       d_step { seen = 0; alive = 0; whole = 0; since_t0 = L }
    /* It leaves, for good. One that comes back is as one that begins. */
#ifdef BUG_LEAVE_LATE
    :: d_step { delete(mine) }
       fresh = 0;
       break
#else
    :: fresh = 0;
       d_step { delete(mine) }
       break
#endif
    od
}

/* Verifications that miss K. */
active proctype Fill() {
    do
    :: d_step { flight == NONE && !cached -> flight = BEGUN }
    :: d_step { flight == BEGUN -> flight = (head == 2 -> REVOKED : VALID) }
    :: d_step { flight == REVOKED -> flight = NONE }
#ifdef BUG_JOIN_POISONED
    :: d_step { flight == VALID -> cached = !poisoned; flight = NONE; poisoned = 0 }
#else
    :: d_step { flight == VALID -> cached = 1; flight = NONE }
#endif
    od
}

#ifdef BUG_HINT_PROOF
/* A NOTIFY comes, however late. */
active proctype Hint() {
    do
    :: fresh = L
    od
}
#endif

inline read_rows() {
    d_step {
        do
        :: i < ROWS -> waited[i] = (row[i] != NONE); i++
        :: else -> break
        od;
        i = 0
    }
}

/* Revocations may share what follows the COMMIT. It then begins later for each of them than for that one alone, and
   waits for a later entry, so none returns earlier. One stands for all. */
active proctype Revoke() {
    byte i;
    head = 1;            /* Somebody's. */
#ifdef BUG_COMMIT_CLOCK
    since_commit = 0;
#endif
#ifdef BUG_ROWS_EARLY
    read_rows();
#endif
    head = 2;
#ifndef BUG_COMMIT_CLOCK
    since_commit = 0;
#endif
#ifdef BUG_RETRY
    /* Its caller has gone and asks again. "It is revoked already." */
    if :: ok = 1 :: true fi;
#endif
#ifndef BUG_ROWS_EARLY
    read_rows();
#endif
    /* It reads the rows again and again. What lets it pass a row stays true, so it may pass them one by one. */
    do
    :: i < ROWS && (!waited[i] || acked[i] || since_commit == W) -> waited[i] = 0; i++
#ifdef BUG_SKIP_DEAD
    :: i < ROWS && row[i] == DEAD -> waited[i] = 0; i++
#else
    :: i < ROWS && row[i] == DEAD && seen_dead[i] == W -> waited[i] = 0; i++
#endif
    :: i == ROWS -> break
    od;
    ok = 1
}

/* The deadline comes first. Whether the clock is read before the look-up or after it makes no difference here. */
active proctype Verify() {
    bool found;
    do
    :: ok ->
#ifdef BUG_FRESH_AFTER
       found = (cached || flight == VALID);
       deadline = fresh;
#else
       deadline = fresh;
       found = (cached || flight == VALID);
#endif
#ifdef BUG_NO_LEASE
       /* "This is from the database." */
       if :: flight == VALID -> deadline = L :: else fi;
#endif
       assert(!(found && deadline > 0));
       d_step { found = 0; deadline = 0 }
    od
}
