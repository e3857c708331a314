-- What finds people by their e-mail addresses, in a table of its own. Erasing somebody deletes their
-- rows, and dumps leave the table out: whoever has the key file and an index can ask whether it is a
-- given address. What is not here is computed again from the sealed addresses (`keys reindex`), as
-- everything is after this migration: the indexes there were are the same for clients and therapists.
CREATE TABLE blind_index (
    clinic_id  UUID NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('client', 'therapist')),
    person_id  UUID NOT NULL,
    generation BIGINT NOT NULL CHECK (generation > 0), -- the id of its key
    hash       BYTEA CHECK (octet_length(hash) = 32), -- nothing, for a person without an address
    PRIMARY KEY (clinic_id, role, person_id, generation)
);
CREATE UNIQUE INDEX blind_index_of_address ON blind_index (clinic_id, role, hash);

-- A dropped column stays in the rows that are there.
UPDATE therapist SET email_index = NULL WHERE email_index IS NOT NULL;
ALTER TABLE therapist DROP COLUMN email_index;
UPDATE client SET email_index = NULL WHERE email_index IS NOT NULL;
ALTER TABLE client DROP COLUMN email_index;
