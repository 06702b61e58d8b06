-- Searches of names take letters as Unicode composes them (NFC), whichever way they were typed. SQLite cannot compose: the
-- program does it, once, for the names that are there (src/store/sqlite/names.rs).
ALTER TABLE installation ADD COLUMN names_normalized INTEGER NOT NULL DEFAULT 0;
