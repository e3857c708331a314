-- The codes of a clinic's own that say why something was done, beside those that every clinic has. A
-- code stays in ledger and journal, in the clear and for ever: so it is one of a list, and no free
-- text. None leaves the list, since entries name it.
CREATE TABLE reason (
    clinic_id UUID NOT NULL,
    code      TEXT NOT NULL CHECK (code ~ '^[a-z][a-z0-9_]{0,63}$'),
    added_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (clinic_id, code)
);
CREATE TRIGGER reason_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON reason
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The zone that a client sees times in is sealed with what else is known of them. What is here is what an
-- earlier version wrote, until the client is sealed again (`keys rotate-deks`). It has another name, so
-- that a process of that version, which would lose a sealed zone, fails.
ALTER TABLE client ALTER COLUMN zone DROP NOT NULL;
ALTER TABLE client RENAME COLUMN zone TO clear_zone;
UPDATE client SET clear_zone = NULL WHERE sealed IS NULL;
