-- The codes of a clinic's own that say why something was done, beside those that every clinic has. A
-- code stays in ledger and journal, in the clear and for ever: so it is one of a list, and no free
-- text. None leaves the list, since entries name it.
CREATE TABLE reason (
    clinic_id BLOB NOT NULL,
    code      TEXT NOT NULL CHECK (length(code) <= 64 AND code GLOB '[a-z]*' AND code NOT GLOB '*[^a-z0-9_]*'),
    added_at  INTEGER NOT NULL,
    PRIMARY KEY (clinic_id, code)
) STRICT;
CREATE TRIGGER reason_no_update BEFORE UPDATE ON reason
BEGIN SELECT RAISE(ABORT, 'reason_is_append_only'); END;
CREATE TRIGGER reason_no_delete BEFORE DELETE ON reason
BEGIN SELECT RAISE(ABORT, 'reason_is_append_only'); END;
-- INSERT OR REPLACE deletes without asking the trigger above.
CREATE TRIGGER reason_no_replace BEFORE INSERT ON reason
WHEN EXISTS (SELECT 1 FROM reason WHERE clinic_id = NEW.clinic_id AND code = NEW.code)
BEGIN SELECT RAISE(ABORT, 'reason_is_append_only'); END;

-- The zone that a client sees times in is sealed with what else is known of them. What is here is what an
-- earlier version wrote, until the client is sealed again (`keys rotate-deks`). It has another name, so
-- that a process of that version, which would lose a sealed zone, fails.
ALTER TABLE client ADD COLUMN clear_zone TEXT;
UPDATE client SET clear_zone = zone WHERE sealed IS NOT NULL;
ALTER TABLE client DROP COLUMN zone;
