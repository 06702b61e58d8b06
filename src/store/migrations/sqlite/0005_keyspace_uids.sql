-- What is somebody's is not whoever's who gets the id of his keyspace later.

-- Random, made with the keyspace, never used again.
ALTER TABLE keyspace ADD COLUMN uid INTEGER NOT NULL DEFAULT 0;
UPDATE keyspace SET uid = random();
CREATE UNIQUE INDEX keyspace_uid ON keyspace (uid);

-- NULL: of a keyspace that was gone before there were uids. Events that are older than the keyspace which has the id now
-- are another's.
ALTER TABLE audit_event ADD COLUMN keyspace_uid INTEGER;
UPDATE audit_event SET keyspace_uid = k.uid
FROM keyspace k WHERE k.id = audit_event.keyspace AND audit_event.create_time_us >= k.create_time_us;
CREATE INDEX audit_event_keyspace_uid ON audit_event (keyspace_uid, create_time_us DESC, id DESC)
    WHERE keyspace_uid IS NOT NULL;

-- Each keyspace imports as if it were alone: what others have imported takes no place of its own, and is not told.
CREATE TABLE api_key_secret_by_key (
    public_prefix   TEXT    NOT NULL,
    key_id          TEXT    NOT NULL CONSTRAINT api_key_secret_key_fkey REFERENCES api_key (id) ON DELETE CASCADE,
    -- Counts up; a key's newest secret has the highest.
    generation      INTEGER NOT NULL,
    -- 1: SHA-256 of the secret part, 2: Argon2id in PHC form; higher numbers are for imported digests.
    verifier_kind   INTEGER NOT NULL,
    verifier        BLOB    NOT NULL,
    create_time_us  INTEGER NOT NULL,
    expire_time_us  INTEGER,
    CONSTRAINT api_key_secret_pkey PRIMARY KEY (public_prefix, key_id),
    CONSTRAINT api_key_secret_verifier_kind CHECK (verifier_kind BETWEEN 1 AND 99),
    CONSTRAINT api_key_secret_sha256 CHECK (verifier_kind <> 1 OR length(verifier) = 32),
    CONSTRAINT api_key_secret_generation UNIQUE (key_id, generation)
) STRICT, WITHOUT ROWID;
INSERT INTO api_key_secret_by_key
SELECT public_prefix, key_id, generation, verifier_kind, verifier, create_time_us, expire_time_us FROM api_key_secret;
DROP TABLE api_key_secret;
ALTER TABLE api_key_secret_by_key RENAME TO api_key_secret;

-- Permissions for keyspaces that do not exist would be rights in whatever gets their ids.
CREATE TEMP TABLE ended AS
SELECT k.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now_us, (
    SELECT json_group_array(s.value ORDER BY s.key) FROM json_each(k.scopes) s
    WHERE instr(s.value, '@') = 0 OR substr(s.value, instr(s.value, '@') + 1) IN (SELECT id FROM keyspace)) AS scopes
FROM api_key k
WHERE k.keyspace = 'system' AND EXISTS (
    SELECT 1 FROM json_each(k.scopes) s
    WHERE instr(s.value, '@') > 0 AND substr(s.value, instr(s.value, '@') + 1) NOT IN (SELECT id FROM keyspace));

UPDATE api_key SET scopes = ended.scopes, revision = revision + 1, update_time_us = ended.now_us
FROM ended WHERE ended.id = api_key.id;
INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, key_id, peer, changes, keyspace_uid)
SELECT 'evt_' || hex(randomblob(13)), ended.now_us, 'migration', 'UpdateApiKey', 'system', ended.id, '',
    json_object('scopes', json(ended.scopes)), k.uid
FROM ended JOIN keyspace k ON k.id = 'system';
DROP TABLE ended;
