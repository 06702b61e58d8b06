-- Writes the keys of one keyspace, with a secret each. `@keys`, `@keyspace` and so on are filled in: see `rows.rs`.
--
-- Half of the names have "production", a tenth "staging", one in 500 "canary"; the three oldest have "zeta", the two
-- oldest "q7". A fifth of the keys are of one subject, of the others each subject has 32. A tenth are revoked.
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < @keys),
clock (now_us) AS (SELECT @now_us),
named (n, create_time_us, name) AS (
    SELECT n, now_us - CAST(@keys - n AS bigint) * 1000000,
        'payments ' || CASE WHEN n % 2 = 0 THEN 'production' WHEN n % 10 = 1 THEN 'staging' ELSE 'development' END
            || ' ' || n || CASE WHEN n % 500 = 1 THEN ' canary' ELSE '' END
            || CASE WHEN n <= 3 THEN ' zeta' ELSE '' END || CASE WHEN n <= 2 THEN ' q7' ELSE '' END
    FROM numbers, clock)
INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
    created_by, create_time_us, update_time_us, revoke_time_us, revocation_reason, revocation_comment, revision)
SELECT 'key_' || substr('@letter0000000000000000000000000', 1, 26 - length(CAST(n AS text))) || n, '@keyspace', name, name,
    '', CASE WHEN n % 5 = 0 THEN 'svc_batch' ELSE 'user_' || (n / 40) END,
    '["customers:read","invoices:read","orders:read"]', '{}', @metadata, TRUE, 'benchmark',
    create_time_us, create_time_us, CASE WHEN n % 10 = 3 THEN create_time_us END, CASE WHEN n % 10 = 3 THEN 1 END,
    CASE WHEN n % 10 = 3 THEN '' END, 1
FROM named ORDER BY n;
