-- Searches of names that read one index. It has all that decides whether a key is on a list of its keyspace: the row of
-- each key whose name may match is not read. (Of two keys none has the same number, for one process writes; the index need
-- not see to it.)
DROP INDEX api_key_name_row;
CREATE INDEX api_key_name_row ON api_key
    (name_row, keyspace, create_time_us, id, enabled, expire_time_us, revoke_time_us, name_folded);
