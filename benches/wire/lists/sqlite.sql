-- Writes the rows and what goes with them, all at once, as the migrations do it.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA foreign_keys = OFF;
PRAGMA cache_size = -500000;
BEGIN;
DROP TRIGGER api_key_name_new;
@rows
UPDATE api_key SET name_row = (SELECT name_block << 40 FROM keyspace s WHERE s.id = keyspace)
    + CAST(substr(id, -12) AS INTEGER);
INSERT INTO api_key_name (api_key_name) VALUES ('rebuild');
INSERT INTO api_key_metadata (name, value, key_id)
SELECT l.key, l.value, k.id FROM api_key k, json_each(k.metadata) l ORDER BY 1, 2, 3;
INSERT INTO api_key_secret (public_prefix, key_id, generation, verifier_kind, verifier, create_time_us)
SELECT 'ak_' || substr(id, 15), id, 1, 1, zeroblob(32), create_time_us FROM api_key ORDER BY 1;
@trigger;
COMMIT;
