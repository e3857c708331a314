-- The fingerprint of the key file that this database is sealed under, from the first process that had
-- both. Another file is refused.
ALTER TABLE deployment ADD COLUMN key_fingerprint BYTEA CHECK (octet_length(key_fingerprint) = 32);
