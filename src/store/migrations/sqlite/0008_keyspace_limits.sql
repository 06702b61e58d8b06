-- How much a keyspace may take, as JSON; what is absent is as the server's settings say.
ALTER TABLE keyspace ADD COLUMN limits TEXT;

-- How many keys a keyspace has.
CREATE TABLE keyspace_size (
    keyspace TEXT NOT NULL PRIMARY KEY,
    keys INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO keyspace_size (keyspace, keys) SELECT keyspace, count(*) FROM api_key GROUP BY keyspace;

CREATE TRIGGER count_inserted_key AFTER INSERT ON api_key BEGIN
    INSERT INTO keyspace_size (keyspace, keys) VALUES (new.keyspace, 1)
    ON CONFLICT (keyspace) DO UPDATE SET keys = keys + 1;
END;

CREATE TRIGGER count_deleted_key AFTER DELETE ON api_key BEGIN
    UPDATE keyspace_size SET keys = keys - 1 WHERE keyspace = old.keyspace;
END;

CREATE TRIGGER forget_keyspace_size AFTER DELETE ON keyspace BEGIN
    DELETE FROM keyspace_size WHERE keyspace = old.id;
END;
