-- What a grant was proven by, in one spelling: an invoice or a checkout proves one grant with each of its
-- lines. Of grants that one line has proven before this was checked, the first keeps it.
ALTER TABLE ledger_entry ADD COLUMN proof TEXT;
ALTER TABLE ledger_entry ADD COLUMN proof_line TEXT CHECK ((proof IS NULL) = (proof_line IS NULL));

CREATE TEMP TABLE claimed AS
SELECT clinic_id, account_id, seq, recorded_at,
       CASE json_extract(body, '$.evidence.kind') WHEN 'payment' THEN 'invoice/' ELSE 'checkout/' END
           AS kind,
       coalesce(json_extract(body, '$.evidence.invoice.id'),
           json_extract(body, '$.evidence.checkout.id')) AS id,
       coalesce(json_extract(body, '$.evidence.plan.item'), '') AS line
FROM ledger_entry
WHERE json_extract(body, '$.kind') = 'grant'
  AND json_extract(body, '$.evidence.kind') IN ('payment', 'checkout');
-- Small letters, and all punctuation as one hyphen. An id has at most 100 bytes.
UPDATE claimed SET id = lower(replace(replace(replace(id, '.', '-'), '_', '-'), ':', '-')),
                   line = lower(replace(replace(replace(line, '.', '-'), '_', '-'), ':', '-'));
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = replace(id, '--', '-'), line = replace(line, '--', '-');
UPDATE claimed SET id = coalesce(nullif(trim(id, '-'), ''), '-'),
                   line = CASE line WHEN '' THEN '' ELSE coalesce(nullif(trim(line, '-'), ''), '-') END;
DROP TRIGGER ledger_entry_no_update;
UPDATE ledger_entry SET proof = first.kind || first.id, proof_line = first.line
FROM (
    SELECT *, row_number() OVER (PARTITION BY clinic_id, kind, id, line
                                 ORDER BY recorded_at, account_id, seq) AS place
    FROM claimed
) AS first
WHERE first.place = 1 AND ledger_entry.clinic_id = first.clinic_id
  AND ledger_entry.account_id = first.account_id AND ledger_entry.seq = first.seq;
DROP TABLE claimed;
CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry_is_append_only'); END;
CREATE UNIQUE INDEX ledger_entry_of_proof ON ledger_entry (clinic_id, proof, proof_line)
    WHERE proof IS NOT NULL;
-- INSERT OR REPLACE deletes without asking the trigger above.
DROP TRIGGER ledger_entry_no_replace;
CREATE TRIGGER ledger_entry_no_replace BEFORE INSERT ON ledger_entry
WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE clinic_id = NEW.clinic_id
             AND account_id = NEW.account_id AND seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM ledger_entry WHERE clinic_id = NEW.clinic_id AND key = NEW.key)
  OR EXISTS (SELECT 1 FROM ledger_entry WHERE clinic_id = NEW.clinic_id AND proof = NEW.proof
             AND proof_line = NEW.proof_line)
BEGIN SELECT RAISE(ABORT, 'ledger_entry_is_append_only'); END;
