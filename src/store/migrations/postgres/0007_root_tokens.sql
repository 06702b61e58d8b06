-- Root tokens carry a MAC from here on, so that made-up ones are refused without a look-up. Those that were issued before
-- have none, nor has a first root key that an operator supplied.
ALTER TABLE installation ADD COLUMN root_token_key bytea
    CONSTRAINT installation_root_token_key CHECK (length(root_token_key) = 32);
UPDATE installation
SET root_token_key = sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea);
ALTER TABLE installation ALTER COLUMN root_token_key SET NOT NULL;

ALTER TABLE api_key_secret ADD COLUMN has_mac boolean NOT NULL DEFAULT false;

-- A replica of an older version does not set it: while one is on the list, root tokens without a MAC may be issued.
ALTER TABLE replica ADD COLUMN issues_mac boolean NOT NULL DEFAULT false;
