-- A credential's row has a MAC over all that it says, under a key that is not in the database. Rows
-- from before have none, and whoever can write here could have made them: tokens and feeds are made
-- again.
DROP TABLE token;
CREATE TABLE token (
    id         BLOB PRIMARY KEY,
    clinic_id  BLOB NOT NULL,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    mac        BLOB NOT NULL CHECK (length(mac) = 32),
    role       TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'therapist', 'client')),
    subject_id BLOB CHECK ((role IN ('admin', 'operator')) = (subject_id IS NULL)),
    created_at INTEGER NOT NULL
) STRICT;

DROP TABLE feed;
CREATE TABLE feed (
    clinic_id    BLOB NOT NULL,
    subject_role TEXT NOT NULL CHECK (subject_role IN ('client', 'therapist')),
    subject_id   BLOB NOT NULL,
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    mac          BLOB NOT NULL CHECK (length(mac) = 32),
    PRIMARY KEY (clinic_id, subject_role, subject_id)
) STRICT;
