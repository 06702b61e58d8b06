-- How the imported secrets of a keyspace are found: what a presented string is tried by. A form stays when its last
-- key goes; it goes with its keyspace.
CREATE TABLE import_form (
    keyspace    TEXT    NOT NULL CONSTRAINT import_form_keyspace_fkey REFERENCES keyspace (id) ON DELETE CASCADE,
    -- 1: by the first `length` characters, 2: SHA-256, 3: SHA-384, 4: SHA-512.
    kind        INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    CONSTRAINT import_form_pkey PRIMARY KEY (keyspace, kind, length),
    CONSTRAINT import_form_kind CHECK (kind BETWEEN 1 AND 99),
    CONSTRAINT import_form_length CHECK (kind = 1 AND length BETWEEN 8 AND 64 OR kind <> 1 AND length = 0)
) STRICT, WITHOUT ROWID;
