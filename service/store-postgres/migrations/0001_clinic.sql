-- The clinic on PostgreSQL, shared by any number of service processes.
-- Local times are wall times of whole seconds. Every root row carries its clinic, first in its key:
-- that is what the tables can be partitioned by. Exclusion constraints then stand on each partition.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE token (
    id         UUID NOT NULL,
    clinic_id  UUID NOT NULL,
    hash       BYTEA NOT NULL UNIQUE CHECK (octet_length(hash) = 32), -- it is what tells the clinic
    role       TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'therapist', 'client')),
    subject_id UUID CHECK ((role IN ('admin', 'operator')) = (subject_id IS NULL)),
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (clinic_id, id)
);

-- The calendars that can be read by whoever knows a secret, one for a person at most.
CREATE TABLE feed (
    clinic_id    UUID NOT NULL,
    subject_role TEXT NOT NULL CHECK (subject_role IN ('client', 'therapist')),
    subject_id   UUID NOT NULL,
    hash         BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    PRIMARY KEY (clinic_id, subject_role, subject_id)
);

-- The keys that people's values are sealed under, wrapped. Erasing somebody deletes them, so dumps
-- leave this table out, and it is backed up apart, for a short time.
CREATE TABLE dek (
    clinic_id  UUID NOT NULL,
    owner_id   UUID NOT NULL,
    generation BIGINT NOT NULL CHECK (generation > 0),
    wrapped    BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (clinic_id, owner_id, generation)
);

CREATE TABLE therapist (
    clinic_id      UUID NOT NULL,
    id             UUID NOT NULL,
    sealed         BYTEA, -- nothing, once they are erased
    sealed_version BIGINT CHECK (sealed_version > 0),
    dek_generation BIGINT,
    email_index    BYTEA CHECK (octet_length(email_index) = 32),
    zone           TEXT NOT NULL,
    times          JSON NOT NULL, -- hours, dates, blackouts
    times_version  BIGINT NOT NULL CHECK (times_version > 0),
    PRIMARY KEY (clinic_id, id),
    CHECK ((sealed IS NULL) = (sealed_version IS NULL) AND (sealed IS NULL) = (dek_generation IS NULL))
);
CREATE UNIQUE INDEX therapist_email ON therapist (clinic_id, email_index)
    WHERE email_index IS NOT NULL;


CREATE TABLE client (
    clinic_id      UUID NOT NULL,
    id             UUID NOT NULL,
    sealed         BYTEA, -- nothing, once they are erased
    sealed_version BIGINT CHECK (sealed_version > 0),
    dek_generation BIGINT,
    email_index    BYTEA CHECK (octet_length(email_index) = 32),
    legal_hold     BOOLEAN NOT NULL,
    zone           TEXT NOT NULL,
    therapist_id   UUID,
    PRIMARY KEY (clinic_id, id),
    CHECK ((sealed IS NULL) = (sealed_version IS NULL) AND (sealed IS NULL) = (dek_generation IS NULL)),
    FOREIGN KEY (clinic_id, therapist_id) REFERENCES therapist (clinic_id, id)
);
CREATE UNIQUE INDEX client_email ON client (clinic_id, email_index) WHERE email_index IS NOT NULL;

-- Nothing is sealed under a key that is not there, and no key goes that something is sealed under. Not
-- validated, so that a dump without keys can be restored before they are.
ALTER TABLE therapist ADD CONSTRAINT therapist_dek FOREIGN KEY (clinic_id, id, dek_generation)
    REFERENCES dek (clinic_id, owner_id, generation) NOT VALID;
ALTER TABLE client ADD CONSTRAINT client_dek FOREIGN KEY (clinic_id, id, dek_generation)
    REFERENCES dek (clinic_id, owner_id, generation) NOT VALID;

CREATE TABLE service (
    clinic_id      UUID NOT NULL,
    id             UUID NOT NULL,
    name           TEXT NOT NULL,
    minutes        INTEGER NOT NULL CHECK (minutes > 0),
    price_minor    BIGINT NOT NULL CHECK (price_minor >= 0),
    currency       TEXT NOT NULL,
    notice_minutes INTEGER NOT NULL,
    cancellation   JSON NOT NULL,
    slots          JSON NOT NULL,
    PRIMARY KEY (clinic_id, id)
);

-- What a client can subscribe to: so many credits of a service a month.
CREATE TABLE plan (
    clinic_id   UUID NOT NULL,
    id          UUID NOT NULL,
    name        TEXT NOT NULL,
    service_id  UUID NOT NULL,
    credits     BIGINT NOT NULL CHECK (credits > 0),
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    currency    TEXT NOT NULL,
    left_over   JSON NOT NULL,
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, service_id) REFERENCES service (clinic_id, id)
);

CREATE TABLE subscription (
    clinic_id UUID NOT NULL,
    client_id UUID NOT NULL,
    terms     JSON NOT NULL,
    version   BIGINT NOT NULL CHECK (version > 0),
    PRIMARY KEY (clinic_id, client_id),
    FOREIGN KEY (clinic_id, client_id) REFERENCES client (clinic_id, id)
);

-- One row stands for every session of a booking.
CREATE TABLE intent (
    clinic_id    UUID NOT NULL,
    id           UUID NOT NULL,
    series_id    UUID NOT NULL,
    continues_id UUID, -- the segment that it was split from
    state        TEXT NOT NULL CHECK (state IN ('active', 'ended', 'continued', 'withdrawn')),
    continued_by UUID CHECK ((state = 'continued') = (continued_by IS NOT NULL)),
    therapist_id UUID NOT NULL,
    client_id    UUID NOT NULL,
    service_id   UUID NOT NULL,
    zone         TEXT NOT NULL,
    starts_local TIMESTAMP(0) NOT NULL,
    minutes      INTEGER NOT NULL CHECK (minutes > 0),
    gap          TEXT NOT NULL CHECK (gap IN ('shift', 'omit')),
    rule         TEXT,
    deviations   JSON NOT NULL,
    -- Whether it rests until further notice and keeps its time: nothing is due then.
    kept         BOOLEAN NOT NULL,
    done_through TIMESTAMPTZ NOT NULL,
    next_due_at  TIMESTAMPTZ,
    version      BIGINT NOT NULL CHECK (version > 0),
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, therapist_id) REFERENCES therapist (clinic_id, id),
    FOREIGN KEY (clinic_id, client_id) REFERENCES client (clinic_id, id),
    FOREIGN KEY (clinic_id, service_id) REFERENCES service (clinic_id, id)
);
CREATE INDEX intent_due ON intent (next_due_at, id) WHERE next_due_at IS NOT NULL;
CREATE INDEX intent_of_series ON intent (clinic_id, series_id) WHERE continues_id IS NOT NULL;
CREATE INDEX intent_of_therapist ON intent (clinic_id, therapist_id, id);
CREATE INDEX intent_of_client ON intent (clinic_id, client_id, id);

CREATE TABLE session (
    clinic_id       UUID NOT NULL,
    id              UUID NOT NULL,
    intent_id       UUID NOT NULL,
    recurrence_id   TIMESTAMP(0) NOT NULL,
    therapist_id    UUID NOT NULL,
    client_id       UUID NOT NULL,
    service_id      UUID NOT NULL,
    starts_at       TIMESTAMPTZ NOT NULL,
    ends_at         TIMESTAMPTZ NOT NULL CHECK (ends_at > starts_at),
    zone            TEXT NOT NULL,
    tzdb            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN
        ('scheduled', 'unfunded', 'case', 'completed', 'no_show', 'cancelled', 'missed')),
    state_detail    JSON NOT NULL,
    slot_version    BIGINT NOT NULL,
    hold_generation BIGINT NOT NULL,
    next_due_at     TIMESTAMPTZ,
    version         BIGINT NOT NULL CHECK (version > 0),
    PRIMARY KEY (clinic_id, id),
    -- An occurrence has one session, whatever crashes and runs again.
    UNIQUE (clinic_id, intent_id, recurrence_id),
    FOREIGN KEY (clinic_id, intent_id) REFERENCES intent (clinic_id, id),
    -- The net under the clinic's own check: live sessions of one therapist or one client never
    -- overlap. Writers lock both before they read, so that they do not meet here.
    CONSTRAINT session_overlap_of_therapist EXCLUDE USING gist
        (clinic_id WITH =, therapist_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('scheduled', 'unfunded')),
    CONSTRAINT session_overlap_of_client EXCLUDE USING gist
        (clinic_id WITH =, client_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('scheduled', 'unfunded'))
);
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

-- Every entry rewrites the snapshot, and no index holds it: room in the page keeps it there, as long
-- as it does not change when credits expire next.
CREATE TABLE account (
    clinic_id   UUID NOT NULL,
    client_id   UUID NOT NULL,
    version     BIGINT NOT NULL,
    snapshot    JSON NOT NULL,
    next_due_at TIMESTAMPTZ,
    PRIMARY KEY (clinic_id, client_id),
    FOREIGN KEY (clinic_id, client_id) REFERENCES client (clinic_id, id)
) WITH (fillfactor = 80);
CREATE INDEX account_due ON account (next_due_at, client_id) WHERE next_due_at IS NOT NULL;

-- The sequence is lock and chain at once: two writers cannot both append the same number.
CREATE TABLE ledger_entry (
    clinic_id    UUID NOT NULL,
    account_id   UUID NOT NULL,
    seq          BIGINT NOT NULL CHECK (seq > 0),
    key          TEXT NOT NULL,
    body         JSON NOT NULL,
    effective_at TIMESTAMPTZ NOT NULL,
    recorded_at  TIMESTAMPTZ NOT NULL,
    prev_hash    BYTEA NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash         BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (clinic_id, account_id, seq),
    UNIQUE (clinic_id, key),
    FOREIGN KEY (clinic_id, account_id) REFERENCES account (clinic_id, client_id)
);

-- Who did what, when: audit, history, idempotent answers, and the count of rows written.
CREATE TABLE journal (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY,
    clinic_id       UUID NOT NULL,
    subject_kind    TEXT NOT NULL,
    subject_id      UUID NOT NULL,
    subject_part    TEXT,
    version         BIGINT NOT NULL,
    kind            TEXT NOT NULL,
    actor           TEXT NOT NULL,
    body            JSON NOT NULL,
    -- What happened to the intents of which series.
    series_id       UUID,
    history         JSON CHECK ((history IS NULL) = (series_id IS NULL)),
    at              TIMESTAMPTZ NOT NULL,
    idempotency_key TEXT,
    request_hash    BYTEA CHECK ((request_hash IS NULL) = (idempotency_key IS NULL)),
    rows_written    BIGINT NOT NULL CHECK (rows_written > 0),
    PRIMARY KEY (clinic_id, seq)
);
CREATE UNIQUE INDEX journal_idempotency ON journal (clinic_id, actor, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE INDEX journal_of_series ON journal (clinic_id, series_id, seq) WHERE series_id IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%_is_append_only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What is to be told to whom, written with what it tells. `next_due_at` is when a message is leased
-- next, which is also when its lease runs out; `attempts` numbers the leases. `rows_written` counts
-- the rows of commits that no line of the journal counts.
CREATE TABLE outbox (
    seq            BIGINT GENERATED ALWAYS AS IDENTITY,
    clinic_id      UUID NOT NULL,
    dedupe_key     TEXT NOT NULL,
    kind           TEXT NOT NULL,
    session_id     UUID NOT NULL,
    slot_version   BIGINT NOT NULL,
    recipient_role TEXT NOT NULL CHECK (recipient_role IN ('client', 'therapist')),
    recipient_id   UUID NOT NULL,
    due_at         TIMESTAMPTZ NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'void', 'dead')),
    attempts       BIGINT NOT NULL,
    next_due_at    TIMESTAMPTZ CHECK ((next_due_at IS NOT NULL) = (state = 'pending')),
    last_error     TEXT,
    rows_written   BIGINT NOT NULL,
    PRIMARY KEY (clinic_id, seq),
    UNIQUE (clinic_id, dedupe_key),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id)
);
CREATE INDEX outbox_due ON outbox (next_due_at, seq) WHERE state = 'pending';
CREATE INDEX outbox_of_recipient ON outbox (recipient_id, seq) WHERE state = 'pending';
CREATE INDEX outbox_of_session ON outbox (session_id, seq) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (clinic_id, seq) WHERE state = 'dead';
