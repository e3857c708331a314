-- A credential's row has a MAC over all that it says, under a key that is not in the database. Rows
-- from before have none, and whoever can write here could have made them: tokens and feeds are made
-- again.
DELETE FROM token;
ALTER TABLE token ADD COLUMN mac BYTEA NOT NULL CHECK (octet_length(mac) = 32);
DELETE FROM feed;
ALTER TABLE feed ADD COLUMN mac BYTEA NOT NULL CHECK (octet_length(mac) = 32);
