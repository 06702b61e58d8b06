-- How much a keyspace may take, as JSON; what is absent is as the server's settings say.
ALTER TABLE keyspace ADD COLUMN limits text;

-- How many keys a keyspace has: the sum of its rows. Several, for whoever makes a key holds one until the commit.
CREATE TABLE keyspace_size (
    keyspace text NOT NULL,
    slot integer NOT NULL,
    keys bigint NOT NULL,
    PRIMARY KEY (keyspace, slot)
) WITH (fillfactor = 50);
INSERT INTO keyspace_size (keyspace, slot, keys) SELECT keyspace, 0, count(*) FROM api_key GROUP BY keyspace;

-- By statement, so that many keys of one statement are one change. The process of the connection names the slot: those of
-- one pool differ.
CREATE FUNCTION count_inserted_keys() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO keyspace_size AS s (keyspace, slot, keys)
    SELECT keyspace, pg_backend_pid() % 64, count(*) FROM changed GROUP BY keyspace ORDER BY keyspace
    ON CONFLICT (keyspace, slot) DO UPDATE SET keys = s.keys + excluded.keys;
    RETURN NULL;
END $$;

CREATE FUNCTION count_deleted_keys() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO keyspace_size AS s (keyspace, slot, keys)
    SELECT keyspace, pg_backend_pid() % 64, -count(*) FROM changed GROUP BY keyspace ORDER BY keyspace
    ON CONFLICT (keyspace, slot) DO UPDATE SET keys = s.keys + excluded.keys;
    RETURN NULL;
END $$;

-- A keyspace is deleted once it has no keys.
CREATE FUNCTION forget_keyspace_size() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM keyspace_size WHERE keyspace = old.id;
    RETURN NULL;
END $$;

CREATE TRIGGER count_inserted_keys AFTER INSERT ON api_key REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_keys();
CREATE TRIGGER count_deleted_keys AFTER DELETE ON api_key REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_keys();
CREATE TRIGGER forget_keyspace_size AFTER DELETE ON keyspace FOR EACH ROW EXECUTE FUNCTION forget_keyspace_size();
