//! The eager design's statements on PostgreSQL.

use super::Dialect;

pub(super) const DIALECT: Dialect = Dialect {
    schema: "
CREATE TABLE slot (
    clinic_id    UUID NOT NULL,
    id           UUID NOT NULL,
    session_id   UUID NOT NULL,
    therapist_id UUID NOT NULL,
    starts_at    TIMESTAMPTZ NOT NULL,
    ends_at      TIMESTAMPTZ NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (clinic_id, id),
    UNIQUE (clinic_id, session_id),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id),
    FOREIGN KEY (clinic_id, therapist_id) REFERENCES therapist (clinic_id, id)
);
CREATE INDEX slot_of_therapist ON slot (clinic_id, therapist_id, starts_at);
CREATE TABLE meeting (
    clinic_id  UUID NOT NULL,
    id         UUID NOT NULL,
    session_id UUID NOT NULL,
    provider   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('placeholder', 'created', 'over')),
    starts_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (clinic_id, id),
    UNIQUE (clinic_id, session_id),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id)
);",
    booking: "
INSERT INTO intent (clinic_id, id, series_id, state, therapist_id, client_id, service_id, zone,
    starts_local, minutes, gap, rule, deviations, kept, done_through, next_due_at, version)
VALUES ('00000000-0000-8000-8000-000000000001', $1::uuid, $1::uuid, 'active', $2::uuid, $3::uuid,
    $4::uuid, $5, $6::timestamp, 50, 'shift', $7, '{\"v\": 1, \"data\": {}}', false,
    to_timestamp($8::bigint / 1000000.0), NULL, 1)",
    insert: &[
        "
INSERT INTO session (clinic_id, id, intent_id, recurrence_id, therapist_id, client_id, service_id,
    starts_local, starts_at, ends_at, zone, tzdb, state, state_detail, slot_version,
    hold_generation, next_due_at, version)
SELECT intent.clinic_id, date.session, intent.id, date.at, intent.therapist_id, intent.client_id,
    intent.service_id, date.at, to_timestamp(date.start / 1000000),
    to_timestamp(date.until / 1000000), intent.zone, '2025b', 'scheduled', '{\"state\": \"scheduled\"}', 0, 1,
    CASE $2 WHEN 'worked' THEN to_timestamp(date.start / 1000000) - interval '1 day' END, 1
FROM jsonb_to_recordset($1::jsonb)
    AS date (intent UUID, session UUID, at TIMESTAMP, start BIGINT, until BIGINT)
JOIN intent ON intent.clinic_id = '00000000-0000-8000-8000-000000000001'
    AND intent.id = date.intent",
        "
INSERT INTO slot (clinic_id, id, session_id, therapist_id, starts_at, ends_at)
SELECT intent.clinic_id, date.slot, date.session, intent.therapist_id,
    to_timestamp(date.start / 1000000), to_timestamp(date.until / 1000000)
FROM jsonb_to_recordset($1::jsonb)
    AS date (intent UUID, session UUID, slot UUID, start BIGINT, until BIGINT)
JOIN intent ON intent.clinic_id = '00000000-0000-8000-8000-000000000001'
    AND intent.id = date.intent",
        "
INSERT INTO meeting (clinic_id, id, session_id, provider, state, starts_at)
SELECT '00000000-0000-8000-8000-000000000001', date.meeting, date.session, 'video', 'placeholder',
    to_timestamp(date.start / 1000000)
FROM jsonb_to_recordset($1::jsonb) AS date (session UUID, meeting UUID, start BIGINT)",
    ],
    move_to: &[
        "
UPDATE session SET starts_at = to_timestamp(date.start / 1000000),
    ends_at = to_timestamp(date.until / 1000000), slot_version = slot_version + 1,
    version = version + 1
FROM jsonb_to_recordset($1::jsonb) AS date (session UUID, start BIGINT, until BIGINT)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.session",
        "
UPDATE slot SET starts_at = to_timestamp(date.start / 1000000),
    ends_at = to_timestamp(date.until / 1000000)
FROM jsonb_to_recordset($1::jsonb) AS date (slot UUID, start BIGINT, until BIGINT)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.slot",
        "
UPDATE meeting SET starts_at = to_timestamp(date.start / 1000000)
FROM jsonb_to_recordset($1::jsonb) AS date (meeting UUID, start BIGINT)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.meeting",
    ],
    call_off: &[
        "
UPDATE session SET state = 'cancelled', next_due_at = NULL, state_detail =
        '{\"state\": \"cancelled\", \"by\": \"clinic\", \"late\": false}',
    version = version + 1
FROM jsonb_to_recordset($1::jsonb) AS date (session UUID)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.session
    AND state = 'scheduled'",
        "
DELETE FROM slot USING jsonb_to_recordset($1::jsonb) AS date (slot UUID)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.slot",
        "
DELETE FROM meeting USING jsonb_to_recordset($1::jsonb) AS date (meeting UUID)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.meeting",
    ],
    reassign: &[
        "
UPDATE session SET therapist_id = $2::uuid, slot_version = slot_version + 1, version = version + 1
FROM jsonb_to_recordset($1::jsonb) AS date (session UUID)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.session
    AND state = 'scheduled'",
        "
UPDATE slot SET therapist_id = $2::uuid
FROM jsonb_to_recordset($1::jsonb) AS date (slot UUID)
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = date.slot",
    ],
    touch_booking: "
UPDATE intent SET version = version + 1
WHERE clinic_id = '00000000-0000-8000-8000-000000000001' AND id = $1::uuid",
    journal: "
INSERT INTO journal (clinic_id, subject_kind, subject_id, version, kind, actor, body, at,
    rows_written)
VALUES ('00000000-0000-8000-8000-000000000001', 'intent', $2::uuid, 1, $1,
    'admin/01900000-0000-7000-8000-000000000000', $3::json,
    to_timestamp($4::bigint / 1000000.0), 1)",
};
