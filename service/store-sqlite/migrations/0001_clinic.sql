-- The clinic on one SQLite file.
-- Ids are 16-byte blobs, instants are microseconds since 1970-01-01T00:00:00Z, local times are
-- seconds since 1970-01-01T00:00:00 on the same wall clock. Every root row carries its clinic.

CREATE TABLE token (
    id         BLOB PRIMARY KEY,
    clinic_id  BLOB NOT NULL,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    role       TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'therapist', 'client')),
    subject_id BLOB CHECK ((role IN ('admin', 'operator')) = (subject_id IS NULL)),
    created_at INTEGER NOT NULL
) STRICT;

-- The calendars that can be read by whoever knows a secret, one for a person at most.
CREATE TABLE feed (
    clinic_id    BLOB NOT NULL,
    subject_role TEXT NOT NULL CHECK (subject_role IN ('client', 'therapist')),
    subject_id   BLOB NOT NULL,
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    PRIMARY KEY (clinic_id, subject_role, subject_id)
) STRICT;

-- The keys that people's values are sealed under, wrapped. Erasing somebody deletes them, so dumps
-- leave this table out, and it is backed up apart, for a short time.
CREATE TABLE dek (
    clinic_id  BLOB NOT NULL,
    owner_id   BLOB NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    wrapped    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (clinic_id, owner_id, generation)
) STRICT;

CREATE TABLE therapist (
    clinic_id      BLOB NOT NULL,
    id             BLOB NOT NULL,
    sealed         BLOB, -- nothing, once they are erased
    sealed_version INTEGER CHECK (sealed_version > 0),
    dek_generation INTEGER,
    email_index    BLOB CHECK (length(email_index) = 32),
    zone           TEXT NOT NULL,
    times          TEXT NOT NULL CHECK (json_valid(times)), -- hours, dates, blackouts
    times_version  INTEGER NOT NULL CHECK (times_version > 0),
    PRIMARY KEY (clinic_id, id),
    CHECK ((sealed IS NULL) = (sealed_version IS NULL) AND (sealed IS NULL) = (dek_generation IS NULL)),
    -- Nothing is sealed under a key that is not there, and no key goes that something is sealed under.
    FOREIGN KEY (clinic_id, id, dek_generation) REFERENCES dek (clinic_id, owner_id, generation)
) STRICT;
CREATE UNIQUE INDEX therapist_email ON therapist (clinic_id, email_index)
    WHERE email_index IS NOT NULL;

CREATE TABLE client (
    clinic_id      BLOB NOT NULL,
    id             BLOB NOT NULL,
    sealed         BLOB, -- nothing, once they are erased
    sealed_version INTEGER CHECK (sealed_version > 0),
    dek_generation INTEGER,
    email_index    BLOB CHECK (length(email_index) = 32),
    legal_hold     INTEGER NOT NULL CHECK (legal_hold IN (0, 1)),
    zone           TEXT NOT NULL,
    therapist_id   BLOB,
    PRIMARY KEY (clinic_id, id),
    CHECK ((sealed IS NULL) = (sealed_version IS NULL) AND (sealed IS NULL) = (dek_generation IS NULL)),
    FOREIGN KEY (clinic_id, therapist_id) REFERENCES therapist (clinic_id, id),
    FOREIGN KEY (clinic_id, id, dek_generation) REFERENCES dek (clinic_id, owner_id, generation)
) STRICT;
CREATE UNIQUE INDEX client_email ON client (clinic_id, email_index) WHERE email_index IS NOT NULL;

CREATE TABLE service (
    clinic_id      BLOB NOT NULL,
    id             BLOB NOT NULL,
    name           TEXT NOT NULL,
    minutes        INTEGER NOT NULL CHECK (minutes > 0),
    price_minor    INTEGER NOT NULL CHECK (price_minor >= 0),
    currency       TEXT NOT NULL,
    notice_minutes INTEGER NOT NULL,
    cancellation   TEXT NOT NULL CHECK (json_valid(cancellation)),
    slots          TEXT NOT NULL CHECK (json_valid(slots)),
    PRIMARY KEY (clinic_id, id)
) STRICT;

-- What a client can subscribe to: so many credits of a service a month.
CREATE TABLE plan (
    clinic_id   BLOB NOT NULL,
    id          BLOB NOT NULL,
    name        TEXT NOT NULL,
    service_id  BLOB NOT NULL,
    credits     INTEGER NOT NULL CHECK (credits > 0),
    price_minor INTEGER NOT NULL CHECK (price_minor >= 0),
    currency    TEXT NOT NULL,
    left_over   TEXT NOT NULL CHECK (json_valid(left_over)),
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, service_id) REFERENCES service (clinic_id, id)
) STRICT;

CREATE TABLE subscription (
    clinic_id BLOB NOT NULL,
    client_id BLOB NOT NULL,
    terms     TEXT NOT NULL CHECK (json_valid(terms)),
    version   INTEGER NOT NULL CHECK (version > 0),
    PRIMARY KEY (clinic_id, client_id),
    FOREIGN KEY (clinic_id, client_id) REFERENCES client (clinic_id, id)
) STRICT;

-- One row stands for every session of a booking.
CREATE TABLE intent (
    clinic_id    BLOB NOT NULL,
    id           BLOB NOT NULL,
    series_id    BLOB NOT NULL,
    continues_id BLOB, -- the segment that it was split from
    state        TEXT NOT NULL CHECK (state IN ('active', 'ended', 'continued', 'withdrawn')),
    continued_by BLOB CHECK ((state = 'continued') = (continued_by IS NOT NULL)),
    therapist_id BLOB NOT NULL,
    client_id    BLOB NOT NULL,
    service_id   BLOB NOT NULL,
    zone         TEXT NOT NULL,
    starts_local INTEGER NOT NULL,
    minutes      INTEGER NOT NULL CHECK (minutes > 0),
    gap          TEXT NOT NULL CHECK (gap IN ('shift', 'omit')),
    rule         TEXT,
    deviations   TEXT NOT NULL CHECK (json_valid(deviations)),
    -- Whether it rests until further notice and keeps its time: nothing is due then.
    kept         INTEGER NOT NULL CHECK (kept IN (0, 1)),
    done_through INTEGER NOT NULL,
    next_due_at  INTEGER,
    version      INTEGER NOT NULL CHECK (version > 0),
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, therapist_id) REFERENCES therapist (clinic_id, id),
    FOREIGN KEY (clinic_id, client_id) REFERENCES client (clinic_id, id),
    FOREIGN KEY (clinic_id, service_id) REFERENCES service (clinic_id, id)
) STRICT;
CREATE INDEX intent_due ON intent (next_due_at, id) WHERE next_due_at IS NOT NULL;
CREATE INDEX intent_of_series ON intent (clinic_id, series_id) WHERE continues_id IS NOT NULL;
CREATE INDEX intent_of_therapist ON intent (clinic_id, therapist_id, id);
CREATE INDEX intent_of_client ON intent (clinic_id, client_id, id);

CREATE TABLE session (
    clinic_id       BLOB NOT NULL,
    id              BLOB NOT NULL,
    intent_id       BLOB NOT NULL,
    recurrence_id   INTEGER NOT NULL,
    therapist_id    BLOB NOT NULL,
    client_id       BLOB NOT NULL,
    service_id      BLOB NOT NULL,
    starts_at       INTEGER NOT NULL,
    ends_at         INTEGER NOT NULL CHECK (ends_at > starts_at),
    zone            TEXT NOT NULL,
    tzdb            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN
        ('scheduled', 'unfunded', 'case', 'completed', 'no_show', 'cancelled', 'missed')),
    state_detail    TEXT NOT NULL CHECK (json_valid(state_detail)),
    slot_version    INTEGER NOT NULL,
    hold_generation INTEGER NOT NULL,
    next_due_at     INTEGER,
    version         INTEGER NOT NULL CHECK (version > 0),
    PRIMARY KEY (clinic_id, id),
    -- An occurrence has one session, whatever crashes and runs again.
    UNIQUE (clinic_id, intent_id, recurrence_id),
    FOREIGN KEY (clinic_id, intent_id) REFERENCES intent (clinic_id, id)
) STRICT;
-- What each job looks for: a credit, a reminder before the start, an answer after the end.
CREATE INDEX session_to_fund ON session (next_due_at, id)
    WHERE state = 'unfunded' AND next_due_at IS NOT NULL;
CREATE INDEX session_to_remind ON session (next_due_at, id)
    WHERE state = 'scheduled' AND next_due_at < starts_at;
CREATE INDEX session_to_ask_attendance ON session (next_due_at, id)
    WHERE state = 'scheduled' AND next_due_at >= starts_at;
CREATE INDEX session_live ON session (clinic_id, id) WHERE state IN ('scheduled', 'unfunded');
CREATE INDEX session_to_settle ON session (clinic_id, ends_at) WHERE state = 'scheduled';
CREATE INDEX session_of_therapist ON session (clinic_id, therapist_id, starts_at);
CREATE INDEX session_of_client ON session (clinic_id, client_id, starts_at);

-- The net under the clinic's own check: live sessions of one therapist or one client never overlap.
-- No appointment is longer than a day, so only those that start less than a day before can reach in.
CREATE TRIGGER session_insert_overlap BEFORE INSERT ON session
WHEN NEW.state IN ('scheduled', 'unfunded')
BEGIN
    SELECT RAISE(ABORT, 'session_overlap') WHERE EXISTS (
        SELECT 1 FROM session
        WHERE clinic_id = NEW.clinic_id AND therapist_id = NEW.therapist_id
          AND starts_at > NEW.starts_at - 86400000000 AND starts_at < NEW.ends_at
          AND ends_at > NEW.starts_at AND state IN ('scheduled', 'unfunded')
    ) OR EXISTS (
        SELECT 1 FROM session
        WHERE clinic_id = NEW.clinic_id AND client_id = NEW.client_id
          AND starts_at > NEW.starts_at - 86400000000 AND starts_at < NEW.ends_at
          AND ends_at > NEW.starts_at AND state IN ('scheduled', 'unfunded')
    );
END;
CREATE TRIGGER session_update_overlap
BEFORE UPDATE OF starts_at, ends_at, state, therapist_id ON session
WHEN NEW.state IN ('scheduled', 'unfunded')
BEGIN
    SELECT RAISE(ABORT, 'session_overlap') WHERE EXISTS (
        SELECT 1 FROM session
        WHERE clinic_id = NEW.clinic_id AND therapist_id = NEW.therapist_id AND id <> NEW.id
          AND starts_at > NEW.starts_at - 86400000000 AND starts_at < NEW.ends_at
          AND ends_at > NEW.starts_at AND state IN ('scheduled', 'unfunded')
    ) OR EXISTS (
        SELECT 1 FROM session
        WHERE clinic_id = NEW.clinic_id AND client_id = NEW.client_id AND id <> NEW.id
          AND starts_at > NEW.starts_at - 86400000000 AND starts_at < NEW.ends_at
          AND ends_at > NEW.starts_at AND state IN ('scheduled', 'unfunded')
    );
END;

CREATE TABLE account (
    clinic_id   BLOB NOT NULL,
    client_id   BLOB NOT NULL,
    version     INTEGER NOT NULL,
    snapshot    TEXT NOT NULL CHECK (json_valid(snapshot)),
    next_due_at INTEGER, -- when credits expire next
    PRIMARY KEY (clinic_id, client_id),
    FOREIGN KEY (clinic_id, client_id) REFERENCES client (clinic_id, id)
) STRICT;
CREATE INDEX account_due ON account (next_due_at, client_id) WHERE next_due_at IS NOT NULL;

-- The sequence is lock and chain at once: two writers cannot both append the same number.
CREATE TABLE ledger_entry (
    clinic_id    BLOB NOT NULL,
    account_id   BLOB NOT NULL,
    seq          INTEGER NOT NULL CHECK (seq > 0),
    key          TEXT NOT NULL,
    body         TEXT NOT NULL CHECK (json_valid(body)),
    effective_at INTEGER NOT NULL,
    recorded_at  INTEGER NOT NULL,
    prev_hash    BLOB NOT NULL CHECK (length(prev_hash) = 32),
    hash         BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (clinic_id, account_id, seq),
    UNIQUE (clinic_id, key),
    FOREIGN KEY (clinic_id, account_id) REFERENCES account (clinic_id, client_id)
) STRICT;
CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry_is_append_only'); END;
CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry_is_append_only'); END;
-- INSERT OR REPLACE deletes without asking the trigger above.
CREATE TRIGGER ledger_entry_no_replace BEFORE INSERT ON ledger_entry
WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE clinic_id = NEW.clinic_id
             AND account_id = NEW.account_id AND seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM ledger_entry WHERE clinic_id = NEW.clinic_id AND key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'ledger_entry_is_append_only'); END;

-- Who did what, when: audit, history, idempotent answers, and the count of rows written.
CREATE TABLE journal (
    seq             INTEGER PRIMARY KEY,
    clinic_id       BLOB NOT NULL,
    subject_kind    TEXT NOT NULL,
    subject_id      BLOB NOT NULL,
    subject_part    TEXT,
    version         INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    actor           TEXT NOT NULL,
    body            TEXT NOT NULL CHECK (json_valid(body)),
    -- What happened to the intents of which series.
    series_id       BLOB,
    history         TEXT CHECK (json_valid(history) AND (history IS NULL) = (series_id IS NULL)),
    at              INTEGER NOT NULL,
    idempotency_key TEXT,
    request_hash    BLOB CHECK ((request_hash IS NULL) = (idempotency_key IS NULL)),
    rows_written    INTEGER NOT NULL CHECK (rows_written > 0)
) STRICT;
CREATE UNIQUE INDEX journal_idempotency ON journal (clinic_id, actor, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX journal_of_series ON journal (clinic_id, series_id, seq) WHERE series_id IS NOT NULL;
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'journal_is_append_only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'journal_is_append_only'); END;
CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM journal WHERE clinic_id = NEW.clinic_id AND actor = NEW.actor
             AND idempotency_key = NEW.idempotency_key)
BEGIN SELECT RAISE(ABORT, 'journal_is_append_only'); END;

-- What is to be told to whom, written with what it tells. `next_due_at` is when a message is leased
-- next, which is also when its lease runs out; `attempts` numbers the leases. `rows_written` counts
-- the rows of commits that no line of the journal counts.
CREATE TABLE outbox (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    clinic_id      BLOB NOT NULL,
    dedupe_key     TEXT NOT NULL,
    kind           TEXT NOT NULL,
    session_id     BLOB NOT NULL,
    slot_version   INTEGER NOT NULL,
    recipient_role TEXT NOT NULL CHECK (recipient_role IN ('client', 'therapist')),
    recipient_id   BLOB NOT NULL,
    due_at         INTEGER NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'void', 'dead')),
    attempts       INTEGER NOT NULL,
    next_due_at    INTEGER CHECK ((next_due_at IS NOT NULL) = (state = 'pending')),
    last_error     TEXT,
    rows_written   INTEGER NOT NULL,
    UNIQUE (clinic_id, dedupe_key),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id)
) STRICT;
CREATE INDEX outbox_due ON outbox (next_due_at, seq) WHERE state = 'pending';
CREATE INDEX outbox_of_recipient ON outbox (recipient_id, seq) WHERE state = 'pending';
CREATE INDEX outbox_of_session ON outbox (session_id, seq) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (clinic_id, seq) WHERE state = 'dead';
