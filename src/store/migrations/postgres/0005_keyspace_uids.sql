-- What is somebody's is not whoever's who gets the id of his keyspace later.

-- Random, made with the keyspace, never used again. The default is for processes of the version before, which go on until
-- all are replaced.
ALTER TABLE keyspace ADD COLUMN uid bigint NOT NULL DEFAULT hashtextextended(gen_random_uuid()::text, 0);
ALTER TABLE keyspace ADD CONSTRAINT keyspace_uid UNIQUE (uid);

-- NULL: of a keyspace that was gone before there were uids. Events that are older than the keyspace which has the id now
-- are another's.
ALTER TABLE audit_event ADD COLUMN keyspace_uid bigint;
UPDATE audit_event e SET keyspace_uid = k.uid
FROM keyspace k WHERE k.id = e.keyspace AND e.create_time_us >= k.create_time_us;
CREATE INDEX audit_event_keyspace_uid ON audit_event (keyspace_uid, create_time_us DESC, id DESC)
    WHERE keyspace_uid IS NOT NULL;

-- For processes of the version before.
CREATE FUNCTION set_event_keyspace() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    new.keyspace_uid := (SELECT k.uid FROM keyspace k WHERE k.id = new.keyspace);
    RETURN new;
END $$;

CREATE TRIGGER set_event_keyspace BEFORE INSERT ON audit_event
    FOR EACH ROW WHEN (new.keyspace_uid IS NULL) EXECUTE FUNCTION set_event_keyspace();

-- Each keyspace imports as if it were alone: what others have imported takes no place of its own, and is not told.
ALTER TABLE api_key_secret DROP CONSTRAINT api_key_secret_pkey;
ALTER TABLE api_key_secret ADD CONSTRAINT api_key_secret_pkey PRIMARY KEY (public_prefix, key_id);

-- Locked by whoever imports into the keyspace, one at a time: what is in a bucket when an import has looked is then what
-- is in it when the import writes.
DROP TABLE import_lock;
CREATE TABLE import_lock (
    keyspace    text COLLATE "C" NOT NULL CONSTRAINT import_lock_pkey PRIMARY KEY,
    CONSTRAINT import_lock_keyspace_fkey FOREIGN KEY (keyspace) REFERENCES keyspace (id) ON DELETE CASCADE
);
INSERT INTO import_lock (keyspace) SELECT id FROM keyspace;

-- Permissions for keyspaces that do not exist would be rights in whatever gets their ids. Last: what is logged of these
-- changes is put off until the commit, and until then the table cannot be altered.
WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us),
ended AS (
    UPDATE api_key k SET
        scopes = (
            SELECT coalesce(json_agg(s.scope ORDER BY s.place), '[]')::text
            FROM json_array_elements_text(k.scopes::json) WITH ORDINALITY AS s (scope, place)
            WHERE strpos(s.scope, '@') = 0 OR split_part(s.scope, '@', 2) IN (SELECT id FROM keyspace)),
        revision = revision + 1,
        update_time_us = clock.now_us
    FROM clock
    WHERE k.keyspace = 'system' AND EXISTS (
        SELECT FROM json_array_elements_text(k.scopes::json) AS s (scope)
        WHERE strpos(s.scope, '@') > 0 AND split_part(s.scope, '@', 2) NOT IN (SELECT id FROM keyspace))
    RETURNING k.id, k.scopes, k.update_time_us
)
INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, key_id, peer, changes, keyspace_uid)
SELECT 'evt_' || upper(left(replace(gen_random_uuid()::text, '-', ''), 26)), ended.update_time_us, 'migration',
    'UpdateApiKey', 'system', ended.id, '', json_build_object('scopes', ended.scopes::json)::text, k.uid
FROM ended JOIN keyspace k ON k.id = 'system';
