-- Times are microseconds since 1970-01-01T00:00:00Z, durations are microseconds (`_us`); JSON is text, for jsonb knows
-- no NUL character, except for labels, which have none. As in the other store: same tables, same columns, same meaning.
-- Text that is ordered or compared goes by its bytes, whatever the database's locale.

CREATE TABLE installation (
    id              smallint NOT NULL CONSTRAINT installation_pkey PRIMARY KEY,
    page_token_key  bytea NOT NULL,
    bootstrapped    boolean NOT NULL DEFAULT false,
    -- Noise, written anew to find out whether the store can write.
    write_probe     bytea,
    CONSTRAINT installation_one_row CHECK (id = 1),
    CONSTRAINT installation_page_token_key CHECK (length(page_token_key) = 32)
);

INSERT INTO installation (id, page_token_key)
VALUES (1, sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

CREATE TABLE keyspace (
    id                      text COLLATE "C" NOT NULL CONSTRAINT keyspace_pkey PRIMARY KEY,
    display_name            text NOT NULL,
    key_prefix              text COLLATE "C" NOT NULL,
    allowed_subject_types   text NOT NULL DEFAULT '[]',
    default_ttl_us          bigint,
    max_ttl_us              bigint,
    allow_wildcard_scopes   boolean NOT NULL DEFAULT false,
    -- 1: SHA-256, 2: Argon2id.
    hash_policy             smallint NOT NULL DEFAULT 1,
    -- JSON; for rate limits, which come later.
    default_rate_limit      text,
    create_time_us          bigint NOT NULL,
    update_time_us          bigint NOT NULL,
    revision                bigint NOT NULL DEFAULT 1,
    CONSTRAINT keyspace_ttl CHECK (default_ttl_us >= 0 AND max_ttl_us >= 0),
    CONSTRAINT keyspace_hash_policy CHECK (hash_policy IN (1, 2))
);

INSERT INTO keyspace (id, display_name, key_prefix, create_time_us, update_time_us)
SELECT id, display_name, key_prefix, now_us, now_us
FROM (VALUES ('default', 'Default', 'ak'), ('system', 'System', 'root')) AS first (id, display_name, key_prefix),
     (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us) AS clock;

CREATE TABLE api_key (
    id                  text COLLATE "C" NOT NULL CONSTRAINT api_key_pkey PRIMARY KEY,
    keyspace            text COLLATE "C" NOT NULL CONSTRAINT api_key_keyspace_fkey REFERENCES keyspace (id),
    name                text NOT NULL,
    -- The name as searches see it: case folded.
    name_folded         text COLLATE "C" NOT NULL,
    description         text NOT NULL,
    subject             text COLLATE "C" NOT NULL,
    scopes              text NOT NULL,
    claims              text NOT NULL,
    metadata            jsonb NOT NULL,
    enabled             boolean NOT NULL,
    created_by          text COLLATE "C" NOT NULL,
    create_time_us      bigint NOT NULL,
    update_time_us      bigint NOT NULL,
    expire_time_us      bigint,
    revoke_time_us      bigint,
    revocation_reason   smallint,
    revocation_comment  text,
    last_use_time_us    bigint,
    revision            bigint NOT NULL,
    -- For the change log, rate limits, credits and address rules, which come later; the last three are JSON.
    changed_seq         bigint NOT NULL DEFAULT 0,
    rate_limit          text,
    credits             text,
    allowed_cidrs       text,
    CONSTRAINT api_key_revocation_reason CHECK (revocation_reason BETWEEN 0 AND 5),
    CONSTRAINT api_key_revocation CHECK (
        (revoke_time_us IS NULL) = (revocation_reason IS NULL)
        AND (revoke_time_us IS NULL) = (revocation_comment IS NULL))
);

CREATE INDEX api_key_newest ON api_key (keyspace, create_time_us DESC, id DESC);
CREATE INDEX api_key_subject ON api_key (keyspace, subject, create_time_us DESC, id DESC);
CREATE INDEX api_key_metadata ON api_key USING gin (metadata jsonb_path_ops);

CREATE TABLE api_key_secret (
    public_prefix   text COLLATE "C" NOT NULL CONSTRAINT api_key_secret_pkey PRIMARY KEY,
    key_id          text COLLATE "C" NOT NULL,
    -- Counts up; a key's newest secret has the highest.
    generation      bigint NOT NULL,
    -- 1: SHA-256 of the secret part, 2: Argon2id in PHC form; higher numbers are for imported digests.
    verifier_kind   smallint NOT NULL,
    verifier        bytea NOT NULL,
    create_time_us  bigint NOT NULL,
    expire_time_us  bigint,
    CONSTRAINT api_key_secret_key_fkey FOREIGN KEY (key_id) REFERENCES api_key (id) ON DELETE CASCADE,
    CONSTRAINT api_key_secret_verifier_kind CHECK (verifier_kind BETWEEN 1 AND 99),
    CONSTRAINT api_key_secret_sha256 CHECK (verifier_kind <> 1 OR length(verifier) = 32),
    CONSTRAINT api_key_secret_generation UNIQUE (key_id, generation)
);

-- Outlives its key: a request is not made again because its key was deleted.
CREATE TABLE request_id (
    keyspace        text COLLATE "C" NOT NULL,
    request_id      text COLLATE "C" NOT NULL,
    key_id          text COLLATE "C" NOT NULL,
    create_time_us  bigint NOT NULL,
    CONSTRAINT request_id_pkey PRIMARY KEY (keyspace, request_id),
    CONSTRAINT request_id_keyspace_fkey FOREIGN KEY (keyspace) REFERENCES keyspace (id) ON DELETE CASCADE
);

CREATE INDEX request_id_oldest ON request_id (create_time_us);

-- Outlives what it tells of.
CREATE TABLE audit_event (
    id              text COLLATE "C" NOT NULL CONSTRAINT audit_event_pkey PRIMARY KEY,
    create_time_us  bigint NOT NULL,
    actor           text COLLATE "C" NOT NULL,
    action          text NOT NULL,
    keyspace        text COLLATE "C" NOT NULL,
    key_id          text COLLATE "C",
    peer            text NOT NULL,
    changes         text NOT NULL
);

CREATE INDEX audit_event_newest ON audit_event (create_time_us DESC, id DESC);
CREATE INDEX audit_event_keyspace ON audit_event (keyspace, create_time_us DESC, id DESC);
CREATE INDEX audit_event_key ON audit_event (key_id, create_time_us DESC, id DESC) WHERE key_id IS NOT NULL;
