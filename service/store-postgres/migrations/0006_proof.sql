-- What a grant was proven by, in one spelling: an invoice or a checkout proves one grant with each of its
-- lines. Of grants that one line has proven before this was checked, the first keeps it.
ALTER TABLE ledger_entry
    ADD COLUMN proof TEXT,
    ADD COLUMN proof_line TEXT,
    ADD CHECK ((proof IS NULL) = (proof_line IS NULL));
ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_append_only;
WITH claimed AS (
    SELECT clinic_id, account_id, seq, recorded_at,
           CASE body -> 'evidence' ->> 'kind' WHEN 'payment' THEN 'invoice/' ELSE 'checkout/' END AS kind,
           regexp_replace(lower(coalesce(body -> 'evidence' -> 'invoice' ->> 'id',
               body -> 'evidence' -> 'checkout' ->> 'id')), '[^a-z0-9]+', '-', 'g') AS id,
           regexp_replace(lower(coalesce(body -> 'evidence' -> 'plan' ->> 'item', '')),
               '[^a-z0-9]+', '-', 'g') AS line
    FROM ledger_entry
    WHERE body ->> 'kind' = 'grant' AND body -> 'evidence' ->> 'kind' IN ('payment', 'checkout')
), spelled AS (
    SELECT clinic_id, account_id, seq, recorded_at,
           kind || coalesce(nullif(trim(both '-' from id), ''), '-') AS proof,
           CASE line WHEN '' THEN '' ELSE coalesce(nullif(trim(both '-' from line), ''), '-') END AS line
    FROM claimed
), first AS (
    SELECT DISTINCT ON (clinic_id, proof, line) clinic_id, account_id, seq, proof, line FROM spelled
    ORDER BY clinic_id, proof, line, recorded_at, account_id, seq
)
UPDATE ledger_entry SET proof = first.proof, proof_line = first.line FROM first
WHERE ledger_entry.clinic_id = first.clinic_id AND ledger_entry.account_id = first.account_id
  AND ledger_entry.seq = first.seq;
ALTER TABLE ledger_entry ENABLE TRIGGER ledger_entry_append_only;
CREATE UNIQUE INDEX ledger_entry_of_proof ON ledger_entry (clinic_id, proof, proof_line)
    WHERE proof IS NOT NULL;
