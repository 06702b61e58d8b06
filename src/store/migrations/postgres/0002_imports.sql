-- How the imported secrets of a keyspace are found: what a presented string is tried by. A form stays when its last
-- key goes; it goes with its keyspace.
CREATE TABLE import_form (
    keyspace    text COLLATE "C" NOT NULL,
    -- 1: by the first `length` characters, 2: SHA-256, 3: SHA-384, 4: SHA-512.
    kind        smallint NOT NULL,
    length      bigint NOT NULL,
    CONSTRAINT import_form_pkey PRIMARY KEY (keyspace, kind, length),
    CONSTRAINT import_form_keyspace_fkey FOREIGN KEY (keyspace) REFERENCES keyspace (id) ON DELETE CASCADE,
    CONSTRAINT import_form_kind CHECK (kind BETWEEN 1 AND 99),
    CONSTRAINT import_form_length CHECK (kind = 1 AND length BETWEEN 8 AND 64 OR kind <> 1 AND length = 0)
);

-- Its one row is locked by whoever imports: one at a time, in all keyspaces. What is in a bucket when an import has
-- looked is then what is in it when the import writes, and two imports cannot lock each other out half-way.
CREATE TABLE import_lock (
    id  smallint NOT NULL CONSTRAINT import_lock_pkey PRIMARY KEY,
    CONSTRAINT import_lock_one_row CHECK (id = 1)
);

INSERT INTO import_lock (id) VALUES (1);
