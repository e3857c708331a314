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
