-- Evidence that was refused is kept once and settled once: a line of the journal each.
CREATE UNIQUE INDEX journal_conflict ON journal (clinic_id, subject_id, version)
    WHERE subject_kind = 'conflict';
CREATE INDEX journal_conflict_kept ON journal (clinic_id, seq)
    WHERE subject_kind = 'conflict' AND version = 1;
