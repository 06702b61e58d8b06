-- Root tokens carry a MAC from here on, so that made-up ones are refused without a look-up. Those that were issued before
-- have none, nor has a first root key that an operator supplied.
ALTER TABLE installation ADD COLUMN root_token_key BLOB
    CONSTRAINT installation_root_token_key CHECK (length(root_token_key) = 32);
UPDATE installation SET root_token_key = randomblob(32);

ALTER TABLE api_key_secret ADD COLUMN has_mac INTEGER NOT NULL DEFAULT 0
    CONSTRAINT api_key_secret_has_mac CHECK (has_mac IN (0, 1));
