-- Lists that read few rows. An index has all that decides whether a key is on a list of its keyspace, or its subject: what
-- changes with each use of a key must not be in there.
DROP INDEX api_key_newest;
DROP INDEX api_key_subject;
CREATE INDEX api_key_newest ON api_key (keyspace, create_time_us DESC, id DESC)
    INCLUDE (enabled, expire_time_us, revoke_time_us, name_folded);
CREATE INDEX api_key_subject ON api_key (keyspace, subject, create_time_us DESC, id DESC)
    INCLUDE (enabled, expire_time_us, revoke_time_us);

-- Every three characters of a name that follow each other, marked with the keyspace: so that a search in one keyspace
-- reads nothing of others. NULL for shorter names. No extension is needed for it, and no right to make one.
CREATE FUNCTION name_grams(keyspace text, name text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(keyspace || ':' || substr(name, at, 3)) FROM generate_series(1, length(name) - 2) AS at
$$;

CREATE INDEX api_key_name ON api_key USING gin (name_grams(keyspace, name_folded));

-- The audit trail of one actor, in order.
CREATE INDEX audit_event_actor ON audit_event (actor, create_time_us DESC, id DESC);
