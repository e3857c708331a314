//! The eager design's statements on SQLite.

use super::Dialect;

pub(super) const DIALECT: Dialect = Dialect {
    schema: "
CREATE TABLE slot (
    clinic_id    BLOB NOT NULL,
    id           BLOB NOT NULL,
    session_id   BLOB NOT NULL,
    therapist_id BLOB NOT NULL,
    starts_at    INTEGER NOT NULL,
    ends_at      INTEGER NOT NULL CHECK (ends_at > starts_at),
    PRIMARY KEY (clinic_id, id),
    UNIQUE (clinic_id, session_id),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id),
    FOREIGN KEY (clinic_id, therapist_id) REFERENCES therapist (clinic_id, id)
) STRICT;
CREATE INDEX slot_of_therapist ON slot (clinic_id, therapist_id, starts_at);
CREATE TABLE meeting (
    clinic_id  BLOB NOT NULL,
    id         BLOB NOT NULL,
    session_id BLOB NOT NULL,
    provider   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('placeholder', 'created', 'over')),
    starts_at  INTEGER NOT NULL,
    PRIMARY KEY (clinic_id, id),
    UNIQUE (clinic_id, session_id),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id)
) STRICT;",
    booking: "
INSERT INTO intent (clinic_id, id, series_id, state, therapist_id, client_id, service_id, zone,
    starts_local, minutes, gap, rule, deviations, kept, done_through, next_due_at, version)
VALUES (x'00000000000080008000000000000001', unhex($1), unhex($1), 'active', unhex($2), unhex($3),
    unhex($4), $5, CAST($6 AS INTEGER), 50, 'shift', $7, '{\"v\": 1, \"data\": {}}', 0,
    CAST($8 AS INTEGER), NULL, 1)",
    insert: &[
        "
INSERT INTO session (clinic_id, id, intent_id, recurrence_id, therapist_id, client_id, service_id,
    starts_local, starts_at, ends_at, zone, tzdb, state, state_detail, slot_version,
    hold_generation, next_due_at, version)
SELECT intent.clinic_id, unhex(value ->> 'session'), intent.id, value ->> 'at',
    intent.therapist_id, intent.client_id, intent.service_id, value ->> 'at',
    value ->> 'start', value ->> 'until',
    intent.zone, '2025b', 'scheduled', '{\"state\": \"scheduled\"}', 0, 1,
    CASE $2 WHEN 'worked' THEN (value ->> 'start') - 86400000000 END, 1
FROM json_each($1)
JOIN intent ON intent.clinic_id = x'00000000000080008000000000000001'
    AND intent.id = unhex(value ->> 'intent')",
        "
INSERT INTO slot (clinic_id, id, session_id, therapist_id, starts_at, ends_at)
SELECT intent.clinic_id, unhex(value ->> 'slot'), unhex(value ->> 'session'),
    intent.therapist_id, value ->> 'start', value ->> 'until'
FROM json_each($1)
JOIN intent ON intent.clinic_id = x'00000000000080008000000000000001'
    AND intent.id = unhex(value ->> 'intent')",
        "
INSERT INTO meeting (clinic_id, id, session_id, provider, state, starts_at)
SELECT x'00000000000080008000000000000001', unhex(value ->> 'meeting'),
    unhex(value ->> 'session'), 'video', 'placeholder', value ->> 'start'
FROM json_each($1)",
    ],
    move_to: &[
        "
WITH date AS MATERIALIZED (
    SELECT unhex(value ->> 'session') AS id, value ->> 'start' AS start, value ->> 'until' AS until
    FROM json_each($1))
UPDATE session SET starts_at = date.start, ends_at = date.until, slot_version = slot_version + 1,
    version = version + 1
FROM date WHERE clinic_id = x'00000000000080008000000000000001' AND session.id = date.id",
        "
WITH date AS MATERIALIZED (
    SELECT unhex(value ->> 'slot') AS id, value ->> 'start' AS start, value ->> 'until' AS until
    FROM json_each($1))
UPDATE slot SET starts_at = date.start, ends_at = date.until
FROM date WHERE clinic_id = x'00000000000080008000000000000001' AND slot.id = date.id",
        "
WITH date AS MATERIALIZED (
    SELECT unhex(value ->> 'meeting') AS id, value ->> 'start' AS start FROM json_each($1))
UPDATE meeting SET starts_at = date.start
FROM date WHERE clinic_id = x'00000000000080008000000000000001' AND meeting.id = date.id",
    ],
    call_off: &[
        "
UPDATE session SET state = 'cancelled', next_due_at = NULL, state_detail =
        '{\"state\": \"cancelled\", \"by\": \"clinic\", \"late\": false}',
    version = version + 1
WHERE clinic_id = x'00000000000080008000000000000001' AND state = 'scheduled'
    AND id IN (SELECT unhex(value ->> 'session') FROM json_each($1))",
        "
DELETE FROM slot WHERE clinic_id = x'00000000000080008000000000000001'
    AND id IN (SELECT unhex(value ->> 'slot') FROM json_each($1))",
        "
DELETE FROM meeting WHERE clinic_id = x'00000000000080008000000000000001'
    AND id IN (SELECT unhex(value ->> 'meeting') FROM json_each($1))",
    ],
    reassign: &[
        "
UPDATE session SET therapist_id = unhex($2), slot_version = slot_version + 1,
    version = version + 1
WHERE clinic_id = x'00000000000080008000000000000001' AND state = 'scheduled'
    AND id IN (SELECT unhex(value ->> 'session') FROM json_each($1))",
        "
UPDATE slot SET therapist_id = unhex($2)
WHERE clinic_id = x'00000000000080008000000000000001'
    AND id IN (SELECT unhex(value ->> 'slot') FROM json_each($1))",
    ],
    touch_booking: "
UPDATE intent SET version = version + 1
WHERE clinic_id = x'00000000000080008000000000000001' AND id = unhex($1)",
    journal: "
INSERT INTO journal (clinic_id, subject_kind, subject_id, version, kind, actor, body, at,
    rows_written)
VALUES (x'00000000000080008000000000000001', 'intent', unhex($2), 1, $1,
    'admin/01900000-0000-7000-8000-000000000000', $3, CAST($4 AS INTEGER), 1)",
};
