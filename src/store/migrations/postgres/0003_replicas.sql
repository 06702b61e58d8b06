-- How processes that share this database learn of each other's changes: see docs/revocation.md. No protocol rests on a
-- time in here; `at` is for people, and for clearing away.

-- Its one row is locked by whoever adds to the log, until that commits: numbers have no gaps, and entries become visible
-- in the order of their numbers. (Those of a sequence would not.)
CREATE TABLE change_head (
    id      smallint NOT NULL CONSTRAINT change_head_pkey PRIMARY KEY,
    seq     bigint NOT NULL,
    nonce   bigint NOT NULL,
    CONSTRAINT change_head_one_row CHECK (id = 1)
);

CREATE TABLE change_log (
    seq     bigint NOT NULL CONSTRAINT change_log_pkey PRIMARY KEY,
    -- Random: tells two histories apart.
    nonce   bigint NOT NULL,
    -- 0: the beginning, 1: a secret, 2: a keyspace, 3: a form of imported secrets, 99: anything.
    kind    smallint NOT NULL,
    -- A public prefix; the id of a keyspace; or that and the kind and length of a form, separated by blanks.
    subject text COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT change_log_kind CHECK (kind BETWEEN 0 AND 99)
);

CREATE INDEX change_log_oldest ON change_log (at);

WITH head AS (
    INSERT INTO change_head (id, seq, nonce) VALUES (1, 0, hashtextextended(gen_random_uuid()::text, 0))
    RETURNING seq, nonce
)
INSERT INTO change_log (seq, nonce, kind, subject) SELECT seq, nonce, 0, '' FROM head;

CREATE TABLE replica (
    incarnation uuid NOT NULL CONSTRAINT replica_pkey PRIMARY KEY,
    name        text NOT NULL,
    lease_ms    bigint NOT NULL,
    acked       bigint NOT NULL DEFAULT 0,
    -- Counted up about once a second.
    beat        bigint NOT NULL DEFAULT 0,
    -- 1: alive, 2: dead.
    state       smallint NOT NULL DEFAULT 1,
    CONSTRAINT replica_state CHECK (state IN (1, 2))
);

CREATE FUNCTION log_change(kind integer, subject text) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH head AS (
        UPDATE change_head SET seq = seq + 1, nonce = hashtextextended(gen_random_uuid()::text, 0)
        RETURNING seq, nonce
    )
    INSERT INTO change_log (seq, nonce, kind, subject) SELECT head.seq, head.nonce, $1, $2 FROM head
$$;

-- Triggers write the log, so that no change can forget to, be it made by hand. They are put off until the transaction
-- commits: the head is the last row that it locks, so nobody waits for it longer than for the commit, and two who each
-- hold a key's row never wait for each other's.

CREATE FUNCTION log_secret() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM log_change(1, old.public_prefix);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND new.public_prefix <> old.public_prefix THEN
        PERFORM log_change(1, new.public_prefix);
    END IF;
    RETURN NULL;
END $$;

-- Nobody has ever asked for a secret that was issued just now: its lookup is random. What is imported, or chosen, may
-- have been asked for and not found. Its verifier is of another kind, or it is found by its digest (`sha256:…`).
CREATE CONSTRAINT TRIGGER log_secret_new AFTER INSERT ON api_key_secret DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (new.verifier_kind <> 1 OR strpos(new.public_prefix, ':') > 0) EXECUTE FUNCTION log_secret();
CREATE CONSTRAINT TRIGGER log_secret AFTER UPDATE OR DELETE ON api_key_secret DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION log_secret();

CREATE FUNCTION log_key() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM log_change(1, public_prefix) FROM api_key_secret WHERE key_id IN (old.id, new.id);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER log_key AFTER UPDATE ON api_key DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (
        (old.id, old.keyspace, old.subject, old.scopes, old.claims, old.enabled, old.expire_time_us, old.revoke_time_us,
            old.rate_limit, old.credits, old.allowed_cidrs)
        IS DISTINCT FROM
        (new.id, new.keyspace, new.subject, new.scopes, new.claims, new.enabled, new.expire_time_us, new.revoke_time_us,
            new.rate_limit, new.credits, new.allowed_cidrs))
    EXECUTE FUNCTION log_key();

CREATE FUNCTION log_keyspace() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM log_change(2, new.id);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER log_keyspace AFTER UPDATE ON keyspace DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (
        (old.allow_wildcard_scopes, old.default_rate_limit)
        IS DISTINCT FROM (new.allow_wildcard_scopes, new.default_rate_limit))
    EXECUTE FUNCTION log_keyspace();

CREATE FUNCTION log_form() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM log_change(3, concat_ws(' ', new.keyspace, new.kind, new.length));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER log_form AFTER INSERT ON import_form DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION log_form();

CREATE FUNCTION log_all() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM log_change(99, '');
    RETURN NULL;
END $$;

CREATE TRIGGER log_all AFTER TRUNCATE ON api_key FOR EACH STATEMENT EXECUTE FUNCTION log_all();
CREATE TRIGGER log_all AFTER TRUNCATE ON api_key_secret FOR EACH STATEMENT EXECUTE FUNCTION log_all();
CREATE TRIGGER log_all AFTER TRUNCATE ON keyspace FOR EACH STATEMENT EXECUTE FUNCTION log_all();

-- Whoever repeats a change waits until all that is in the log is known everywhere; no key needs a number of its own.
ALTER TABLE api_key DROP COLUMN changed_seq;
