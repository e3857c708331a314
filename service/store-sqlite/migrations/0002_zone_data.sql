-- A session's wall time, which stays when a zone's law changes. Rows from before this migration have
-- none: it follows from recurrence-id, instant and the release that the row names.
ALTER TABLE session ADD COLUMN starts_local INTEGER;
-- A process of the version before, which still runs, would make sessions that nobody resolves again.
CREATE TRIGGER session_wall_time BEFORE INSERT ON session WHEN NEW.starts_local IS NULL
BEGIN SELECT RAISE(ABORT, 'session_wall_time'); END;

-- The zone data that plans this database, one row for each change: the last one counts.
CREATE TABLE zone_data (
    generation  INTEGER PRIMARY KEY CHECK (generation > 0),
    release     TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    zones       TEXT NOT NULL CHECK (json_valid(zones)), -- a fingerprint for each zone
    since       INTEGER NOT NULL,
    settled_at  INTEGER, -- when everything to come agreed with it: nothing is planned before
    outcome     TEXT CHECK (json_valid(outcome) AND (outcome IS NULL) = (settled_at IS NULL))
) STRICT;

-- The sessions that a change of the zone data moved.
CREATE TABLE zone_move (
    clinic_id    BLOB NOT NULL,
    generation   INTEGER NOT NULL REFERENCES zone_data (generation),
    session_id   BLOB NOT NULL,
    intent_id    BLOB NOT NULL,
    therapist_id BLOB NOT NULL,
    client_id    BLOB NOT NULL,
    zone         TEXT NOT NULL,
    starts_local INTEGER NOT NULL,
    was          INTEGER NOT NULL,
    starts_at    INTEGER NOT NULL,
    outcome      TEXT NOT NULL CHECK (outcome IN ('moved', 'case', 'silent')),
    PRIMARY KEY (clinic_id, generation, session_id),
    FOREIGN KEY (clinic_id, session_id) REFERENCES session (clinic_id, id)
) STRICT;

-- What a message about several sessions says of each.
ALTER TABLE outbox ADD COLUMN moves TEXT CHECK (json_valid(moves));
