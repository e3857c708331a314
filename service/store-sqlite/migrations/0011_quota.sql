-- What one client may have of a clinic, as a document; a clinic without a row has the defaults.
CREATE TABLE quotas (
    clinic_id BLOB PRIMARY KEY,
    quotas    TEXT NOT NULL CHECK (json_valid(quotas))
) STRICT;

-- The first instant after everything that an intent means: a calendar reads those that are not over by then.
-- The largest number, for one that goes on for ever; and for those of an earlier version until `migrate` has
-- computed it.
ALTER TABLE intent ADD COLUMN over_at INTEGER NOT NULL DEFAULT 9223372036854775807;
-- The first instant of it: a calendar reads those that have begun by its end. The smallest number, until it is
-- computed.
ALTER TABLE intent ADD COLUMN begins_at INTEGER NOT NULL DEFAULT -9223372036854775808;
CREATE INDEX intent_over_of_therapist ON intent (clinic_id, therapist_id, over_at, begins_at);
CREATE INDEX intent_over_of_client ON intent (clinic_id, client_id, over_at, begins_at);
-- Those that a booking compares itself with.
CREATE INDEX intent_pending_of_therapist ON intent (clinic_id, therapist_id)
    WHERE next_due_at IS NOT NULL OR kept;
CREATE INDEX intent_pending_of_client ON intent (clinic_id, client_id)
    WHERE next_due_at IS NOT NULL OR kept;

-- What waits for somebody.
CREATE INDEX session_open ON session (clinic_id, id) WHERE state IN ('unfunded', 'case', 'missed');

-- Since when nobody can subscribe to a plan any more.
ALTER TABLE plan ADD COLUMN retired_at INTEGER;
