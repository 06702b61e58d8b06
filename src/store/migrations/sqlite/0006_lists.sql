-- Lists that read few rows. An index has all that decides whether a key is on a list of its keyspace, or its subject.
DROP INDEX api_key_newest;
DROP INDEX api_key_subject;
CREATE INDEX api_key_newest ON api_key
    (keyspace, create_time_us DESC, id DESC, enabled, expire_time_us, revoke_time_us, name_folded);
CREATE INDEX api_key_subject ON api_key
    (keyspace, subject, create_time_us DESC, id DESC, enabled, expire_time_us, revoke_time_us);

-- The index of names knows keys by number. Those of one keyspace are together, in a block of 2^40: so that a search in one
-- keyspace reads nothing of others. (The numbers that SQLite itself gives to rows are not for good: VACUUM gives others.)
ALTER TABLE keyspace ADD COLUMN name_block INTEGER;
UPDATE keyspace SET name_block = (SELECT count(*) FROM keyspace other WHERE other.id <= keyspace.id);
CREATE UNIQUE INDEX keyspace_name_block ON keyspace (name_block);

CREATE TRIGGER keyspace_name_block AFTER INSERT ON keyspace BEGIN
    UPDATE keyspace SET name_block = (SELECT coalesce(max(name_block), 0) + 1 FROM keyspace) WHERE id = new.id;
END;

ALTER TABLE api_key ADD COLUMN name_row INTEGER;
UPDATE api_key SET name_row = numbered.name_row
FROM (SELECT k.id, (s.name_block << 40) + row_number() OVER (PARTITION BY k.keyspace ORDER BY k.create_time_us, k.id)
          AS name_row
      FROM api_key k JOIN keyspace s ON s.id = k.keyspace) numbered
WHERE api_key.id = numbered.id;
CREATE UNIQUE INDEX api_key_name_row ON api_key (name_row);

-- Every three characters of a name that follow each other. The names themselves stay where they are.
CREATE VIRTUAL TABLE api_key_name USING fts5 (
    name_folded, content = 'api_key', content_rowid = 'name_row', columnsize = 0, detail = none,
    tokenize = 'trigram case_sensitive 1');
INSERT INTO api_key_name (api_key_name) VALUES ('rebuild');

CREATE TRIGGER api_key_name_new AFTER INSERT ON api_key BEGIN
    UPDATE api_key SET name_row = (
        SELECT coalesce(
            (SELECT max(other.name_row) FROM api_key other
             WHERE other.name_row BETWEEN s.name_block << 40 AND (s.name_block + 1 << 40) - 1),
            s.name_block << 40) + 1
        FROM keyspace s WHERE s.id = new.keyspace)
    WHERE id = new.id;
    INSERT INTO api_key_name (rowid, name_folded) SELECT name_row, name_folded FROM api_key WHERE id = new.id;
END;
CREATE TRIGGER api_key_name_changed AFTER UPDATE OF name_folded ON api_key
WHEN old.name_folded <> new.name_folded BEGIN
    INSERT INTO api_key_name (api_key_name, rowid, name_folded) VALUES ('delete', old.name_row, old.name_folded);
    INSERT INTO api_key_name (rowid, name_folded) VALUES (new.name_row, new.name_folded);
END;
CREATE TRIGGER api_key_name_gone AFTER DELETE ON api_key BEGIN
    INSERT INTO api_key_name (api_key_name, rowid, name_folded) VALUES ('delete', old.name_row, old.name_folded);
END;

-- The audit trail of one actor, in order.
CREATE INDEX audit_event_actor ON audit_event (actor, create_time_us DESC, id DESC);
