-- What keys did, how much they may still do. Hours are counted from 1970-01-01T00:00:00Z.

-- The keys of a keyspace by id, as their usage is told.
CREATE INDEX api_key_by_id ON api_key (keyspace, id);

-- `counted`: 0: keys made; else a verdict, by the number it has on the wire. Hours that are older than they are kept are
-- folded into the first of their day.
CREATE TABLE key_usage (
    key_id  TEXT    NOT NULL CONSTRAINT key_usage_key_fkey REFERENCES api_key (id) ON DELETE CASCADE,
    hour    INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    CONSTRAINT key_usage_pkey PRIMARY KEY (key_id, hour, counted),
    CONSTRAINT key_usage_count CHECK (count > 0)
) STRICT, WITHOUT ROWID;

-- The same for all keys of a keyspace, those that are deleted by now as well.
CREATE TABLE keyspace_usage (
    keyspace TEXT    NOT NULL CONSTRAINT keyspace_usage_keyspace_fkey REFERENCES keyspace (id) ON DELETE CASCADE,
    hour     INTEGER NOT NULL,
    counted  INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    CONSTRAINT keyspace_usage_pkey PRIMARY KEY (keyspace, hour, counted),
    CONSTRAINT keyspace_usage_count CHECK (count > 0)
) STRICT, WITHOUT ROWID;

-- The last batch that each process added, so that one whose commit nobody heard of is not added twice.
CREATE TABLE usage_batch (
    writer          TEXT    NOT NULL CONSTRAINT usage_batch_pkey PRIMARY KEY,
    seq             INTEGER NOT NULL,
    create_time_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many credits each key has left that has any. What is taken out by a process of an older `epoch` is worth nothing.
CREATE TABLE key_credits (
    key_id          TEXT    NOT NULL CONSTRAINT key_credits_pkey PRIMARY KEY
                            CONSTRAINT key_credits_key_fkey REFERENCES api_key (id) ON DELETE CASCADE,
    epoch           INTEGER NOT NULL,
    remaining       INTEGER NOT NULL,
    refill_time_us  INTEGER,
    CONSTRAINT key_credits_remaining CHECK (remaining >= 0)
) STRICT, WITHOUT ROWID;

-- How much was spent of rate limits, by the name of the limit.
CREATE TABLE key_rate (
    key_id  TEXT    NOT NULL CONSTRAINT key_rate_key_fkey REFERENCES api_key (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    -- What was spent and is not there again at `at_us`.
    level   REAL    NOT NULL,
    at_us   INTEGER NOT NULL,
    -- What was spent, and asked for, ever: by how much these grew tells a process what others did.
    spent   INTEGER NOT NULL,
    asked   INTEGER NOT NULL,
    CONSTRAINT key_rate_pkey PRIMARY KEY (key_id, name)
) STRICT, WITHOUT ROWID;
