-- One process has the file, so it needs no log of changes.
ALTER TABLE api_key DROP COLUMN changed_seq;
