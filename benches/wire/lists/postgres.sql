-- Writes the rows. Indexes are made once the rows are there: row by row they would take many times as long.
BEGIN;
SET LOCAL maintenance_work_mem = '512MB';
SET LOCAL work_mem = '128MB';
SET LOCAL session_replication_role = replica;
CREATE TEMP TABLE index_to_make ON COMMIT DROP AS
SELECT indexname AS name, indexdef AS statement FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = 'api_key' AND indexname <> 'api_key_pkey';
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT i.name FROM index_to_make i LOOP EXECUTE format('DROP INDEX %I', name); END LOOP;
END $$;
@rows
INSERT INTO api_key_secret (public_prefix, key_id, generation, verifier_kind, verifier, create_time_us)
SELECT 'ak_' || substr(id, 15), id, 1, 1, decode(repeat('00', 32), 'hex'), create_time_us FROM api_key ORDER BY 1;
DO $$ DECLARE statement text; BEGIN
    FOR statement IN SELECT i.statement FROM index_to_make i LOOP EXECUTE statement; END LOOP;
END $$;
INSERT INTO keyspace_size (keyspace, slot, keys) SELECT keyspace, 0, count(*) FROM api_key GROUP BY keyspace;
COMMIT;
VACUUM ANALYZE;
CHECKPOINT;
