-- A session's wall time, which stays when a zone's law changes. Rows from before this migration have
-- none: it follows from recurrence-id, instant and the release that the row names.
ALTER TABLE session ADD COLUMN starts_local TIMESTAMP(0);
-- A process of the version before, which still runs, would make sessions that nobody resolves again.
ALTER TABLE session ADD CONSTRAINT session_wall_time CHECK (starts_local IS NOT NULL) NOT VALID;

-- The zone data that plans this database, one row for each change: the last one counts.
CREATE TABLE zone_data (
    generation  BIGINT PRIMARY KEY CHECK (generation > 0),
    release     TEXT NOT NULL,
    fingerprint UUID NOT NULL,
    zones       JSON NOT NULL, -- a fingerprint for each zone
    since       TIMESTAMPTZ NOT NULL,
    settled_at  TIMESTAMPTZ, -- when everything to come agreed with it: nothing is planned before
    outcome     JSON CHECK ((outcome IS NULL) = (settled_at IS NULL))
);

-- The sessions that a change of the zone data moved.
CREATE TABLE zone_move (
    clinic_id    UUID NOT NULL,
    generation   BIGINT NOT NULL REFERENCES zone_data (generation),
    session_id   UUID NOT NULL,
    intent_id    UUID NOT NULL,
    therapist_id UUID NOT NULL,
    client_id    UUID NOT NULL,
    zone         TEXT NOT NULL,
    starts_local TIMESTAMP(0) NOT NULL,
    was          TIMESTAMPTZ NOT NULL,
    starts_at    TIMESTAMPTZ NOT NULL,
    outcome      TEXT NOT NULL CHECK (outcome IN ('moved', 'case', 'silent')),
    PRIMARY KEY (clinic_id, generation, session_id),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id)
);

-- What a message about several sessions says of each.
ALTER TABLE outbox ADD COLUMN moves JSON;
