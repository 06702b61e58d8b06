/* The promise of lease.pml, over failovers that fork the log. The standby that takes over lacks entries which replicas
   have seen, though nobody was told that they were committed, and it gives their numbers to others.

   A COMMIT is answered once the standby has it. Rows are left to lease.pml, and so are clocks: a lease from a poll that
   began before Revoke's COMMIT was answered has run out when Revoke has waited for W. */

#ifndef ENTRIES
#define ENTRIES 4
#endif
#ifndef PRIMARIES
#define PRIMARIES 3            /* One more than failovers. */
#endif

#define NONE 0
#define BEGUN 1
#define VALID 2
#define REVOKED 3

/* The database. */
byte head = 1;
byte primary = 1;
byte nonce[ENTRIES + 1] = 1;   /* Of each entry: who wrote it. No primary gives a number twice. */
bool revokes[ENTRIES + 1];     /* The entry revokes K. */
byte oldest = 1;               /* The log is pruned up to this entry, which it has. */
byte replicated = 1;           /* The standby has the entries up to here. */
byte acked;                    /* The replica has acknowledged those up to here. */

/* The process that revokes. */
bool waited;                   /* For W. */
bool ok;

/* The replica. */
byte at = 1;                   /* The last entry that it applied, */
byte at_nonce = 1;             /* and who wrote it. */
bool poll_early;               /* Its poll began before Revoke's COMMIT was answered. */
bool fresh, fresh_early;       /* It has a lease; the lease is from such a poll. */
bool cached;
byte flight;

/* The newest entry that revokes K; 0 if there is none. */
inline find_revocation() {
    revocation = head;
    do
    :: revocation > 0 && !revokes[revocation] -> revocation--
    :: else -> break
    od
}

/* Changes of other things, and what happens to the log. */
active proctype Log() {
    do
    :: d_step { head < ENTRIES - 1 -> head++; nonce[head] = primary }
    :: d_step { replicated < head -> replicated++ }
    :: d_step { oldest < head -> oldest++ }
    /* A failover. The standby has no acknowledgement of an entry that it has not, and may not have heard of pruning. */
    :: d_step { primary < PRIMARIES ->
           primary++;
           do
           :: head > replicated -> revokes[head] = 0; nonce[head] = 0; head--
           :: else -> break
           od;
           if :: acked > head -> acked = head :: else fi;
           oldest = 1
       }
    od
}

/* One statement: the entry that the replica is at, and what came after. */
inline read_log() {
    d_step {
        known = (at >= oldest && at <= head && nonce[at] == at_nonce);
#ifdef BUG_FORK_UNNOTICED
        known = 1;
#endif
#ifdef BUG_GAP_UNNOTICED
        known = (known || at < oldest || at > head);
#endif
        seen = head;
        seen_nonce = nonce[head];
        find_revocation();
        hit = (revocation > at && revocation >= oldest);
        revocation = 0
    }
}

/* Where the log no longer leads on from what was applied, everything goes. */
inline apply() {
    d_step {
        if
        :: !known || hit ->
            cached = 0;
#ifdef BUG_FLUSH_UNPOISONED
            if :: hit && known -> flight = NONE :: else fi
#else
            flight = NONE
#endif
        :: else
        fi;
        at = seen;
        at_nonce = seen_nonce
    }
}

/* This may go to another primary than the poll did, so it says whose entry it means. */
inline ack() {
    d_step {
#ifdef BUG_ACK_UNCHECKED
        acked = at
#else
        if :: at >= oldest && at <= head && nonce[at] == at_nonce -> acked = at :: else fi
#endif
    }
}

active proctype Replica() {
    byte seen, seen_nonce, revocation;
    bool known, hit;
    do
    :: poll_early = 0;
       read_log();
       apply();
       d_step { if :: waited && poll_early :: else -> fresh = 1; fresh_early = poll_early fi }
       ack();
       d_step { seen = 0; seen_nonce = 0; known = 0; hit = 0 }
    od
}

active proctype Fill() {
    byte revocation;
    do
    :: d_step { flight == NONE && !cached -> flight = BEGUN }
    :: d_step { flight == BEGUN ->
           find_revocation();
           flight = (revocation > 0 -> REVOKED : VALID);
           revocation = 0
       }
    :: d_step { flight == REVOKED -> flight = NONE }
    :: d_step { flight == VALID -> cached = 1; flight = NONE }
    od
}

/* A repeat finds K revoked, perhaps by what the standby lacks. So it commits something all the same: the answer says
   that the standby has all that was before. */
active proctype Revoke() {
    byte entry, on, revocation;
    do
    :: d_step {
           find_revocation();
           if :: revocation == 0 -> head++; nonce[head] = primary; revokes[head] = 1 :: else fi;
           entry = head;
           on = primary
       }
       if
#ifdef BUG_REPEAT_READS
       :: revocation > 0 -> break
#endif
       :: primary == on && replicated >= entry -> break
       :: true          /* The connection is lost. It asks again. */
       fi
    od;
    atomic { poll_early = 1; fresh_early = 1; entry = head };
    if
    :: acked >= entry
    :: d_step { waited = 1; if :: fresh_early -> fresh = 0 :: else fi }
    fi;
    ok = 1
}

/* What it reads in which order is lease.pml's matter. */
active proctype Verify() {
    do
    :: ok -> assert(!((cached || flight == VALID) && fresh))
    od
}
