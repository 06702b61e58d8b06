-- Times are microseconds since 1970-01-01T00:00:00Z, durations are microseconds (`_us`); JSON is text. As in the other
-- store: same tables, same columns, same meaning. What is only here: api_key_metadata.

CREATE TABLE installation (
    id              INTEGER NOT NULL CONSTRAINT installation_pkey PRIMARY KEY,
    page_token_key  BLOB    NOT NULL,
    bootstrapped    INTEGER NOT NULL DEFAULT 0,
    -- Noise, written anew to find out whether the store can write.
    write_probe     BLOB,
    CONSTRAINT installation_one_row CHECK (id = 1),
    CONSTRAINT installation_page_token_key CHECK (length(page_token_key) = 32),
    CONSTRAINT installation_bootstrapped CHECK (bootstrapped IN (0, 1))
) STRICT;

INSERT INTO installation (id, page_token_key) VALUES (1, randomblob(32));

CREATE TABLE keyspace (
    id                      TEXT    NOT NULL CONSTRAINT keyspace_pkey PRIMARY KEY,
    display_name            TEXT    NOT NULL,
    key_prefix              TEXT    NOT NULL,
    allowed_subject_types   TEXT    NOT NULL DEFAULT '[]',
    default_ttl_us          INTEGER,
    max_ttl_us              INTEGER,
    allow_wildcard_scopes   INTEGER NOT NULL DEFAULT 0,
    -- 1: SHA-256, 2: Argon2id.
    hash_policy             INTEGER NOT NULL DEFAULT 1,
    -- JSON; for rate limits, which come later.
    default_rate_limit      TEXT,
    create_time_us          INTEGER NOT NULL,
    update_time_us          INTEGER NOT NULL,
    revision                INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT keyspace_ttl CHECK (default_ttl_us >= 0 AND max_ttl_us >= 0),
    CONSTRAINT keyspace_allow_wildcard_scopes CHECK (allow_wildcard_scopes IN (0, 1)),
    CONSTRAINT keyspace_hash_policy CHECK (hash_policy IN (1, 2))
) STRICT;

INSERT INTO keyspace (id, display_name, key_prefix, create_time_us, update_time_us)
SELECT id, display_name, key_prefix, now_us, now_us
FROM (SELECT 'default' AS id, 'Default' AS display_name, 'ak' AS key_prefix
      UNION ALL SELECT 'system', 'System', 'root'),
     (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now_us);

CREATE TABLE api_key (
    id                  TEXT    NOT NULL CONSTRAINT api_key_pkey PRIMARY KEY,
    keyspace            TEXT    NOT NULL CONSTRAINT api_key_keyspace_fkey REFERENCES keyspace (id),
    name                TEXT    NOT NULL,
    -- The name as searches see it: case folded.
    name_folded         TEXT    NOT NULL,
    description         TEXT    NOT NULL,
    subject             TEXT    NOT NULL,
    scopes              TEXT    NOT NULL,
    claims              TEXT    NOT NULL,
    metadata            TEXT    NOT NULL,
    enabled             INTEGER NOT NULL,
    created_by          TEXT    NOT NULL,
    create_time_us      INTEGER NOT NULL,
    update_time_us      INTEGER NOT NULL,
    expire_time_us      INTEGER,
    revoke_time_us      INTEGER,
    revocation_reason   INTEGER,
    revocation_comment  TEXT,
    last_use_time_us    INTEGER,
    revision            INTEGER NOT NULL,
    -- For the change log, rate limits, credits and address rules, which come later; the last three are JSON.
    changed_seq         INTEGER NOT NULL DEFAULT 0,
    rate_limit          TEXT,
    credits             TEXT,
    allowed_cidrs       TEXT,
    CONSTRAINT api_key_enabled CHECK (enabled IN (0, 1)),
    CONSTRAINT api_key_revocation_reason CHECK (revocation_reason BETWEEN 0 AND 5),
    CONSTRAINT api_key_revocation CHECK (
        (revoke_time_us IS NULL) = (revocation_reason IS NULL)
        AND (revoke_time_us IS NULL) = (revocation_comment IS NULL))
) STRICT;

CREATE INDEX api_key_newest ON api_key (keyspace, create_time_us DESC, id DESC);
CREATE INDEX api_key_subject ON api_key (keyspace, subject, create_time_us DESC, id DESC);

-- The labels of `api_key.metadata` once more, to find keys by them. Written together with it.
CREATE TABLE api_key_metadata (
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    key_id  TEXT NOT NULL CONSTRAINT api_key_metadata_key_fkey REFERENCES api_key (id) ON DELETE CASCADE,
    CONSTRAINT api_key_metadata_pkey PRIMARY KEY (name, value, key_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_metadata_key ON api_key_metadata (key_id);

CREATE TABLE api_key_secret (
    public_prefix   TEXT    NOT NULL CONSTRAINT api_key_secret_pkey PRIMARY KEY,
    key_id          TEXT    NOT NULL CONSTRAINT api_key_secret_key_fkey REFERENCES api_key (id) ON DELETE CASCADE,
    -- Counts up; a key's newest secret has the highest.
    generation      INTEGER NOT NULL,
    -- 1: SHA-256 of the secret part, 2: Argon2id in PHC form; higher numbers are for imported digests.
    verifier_kind   INTEGER NOT NULL,
    verifier        BLOB    NOT NULL,
    create_time_us  INTEGER NOT NULL,
    expire_time_us  INTEGER,
    CONSTRAINT api_key_secret_verifier_kind CHECK (verifier_kind BETWEEN 1 AND 99),
    CONSTRAINT api_key_secret_sha256 CHECK (verifier_kind <> 1 OR length(verifier) = 32),
    CONSTRAINT api_key_secret_generation UNIQUE (key_id, generation)
) STRICT, WITHOUT ROWID;

-- Outlives its key: a request is not made again because its key was deleted.
CREATE TABLE request_id (
    keyspace        TEXT    NOT NULL CONSTRAINT request_id_keyspace_fkey REFERENCES keyspace (id) ON DELETE CASCADE,
    request_id      TEXT    NOT NULL,
    key_id          TEXT    NOT NULL,
    create_time_us  INTEGER NOT NULL,
    CONSTRAINT request_id_pkey PRIMARY KEY (keyspace, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_id_oldest ON request_id (create_time_us);

-- Outlives what it tells of.
CREATE TABLE audit_event (
    id              TEXT    NOT NULL CONSTRAINT audit_event_pkey PRIMARY KEY,
    create_time_us  INTEGER NOT NULL,
    actor           TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    keyspace        TEXT    NOT NULL,
    key_id          TEXT,
    peer            TEXT    NOT NULL,
    changes         TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_event_newest ON audit_event (create_time_us DESC, id DESC);
CREATE INDEX audit_event_keyspace ON audit_event (keyspace, create_time_us DESC, id DESC);
CREATE INDEX audit_event_key ON audit_event (key_id, create_time_us DESC, id DESC) WHERE key_id IS NOT NULL;
