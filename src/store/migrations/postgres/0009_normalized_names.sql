-- Searches of names take letters as Unicode composes them (NFC), whichever way they were typed. Only UTF-8 can be composed.
DO $$ BEGIN
    IF current_setting('server_encoding') = 'UTF8' THEN
        UPDATE api_key SET name_folded = normalize(name_folded, NFC) WHERE name_folded IS NOT NFC NORMALIZED;
    END IF;
END $$;
