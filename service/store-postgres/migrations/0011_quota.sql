-- What one client may have of a clinic, as a document; a clinic without a row has the defaults.
CREATE TABLE quotas (
    clinic_id UUID PRIMARY KEY,
    quotas    JSON NOT NULL
);

-- The first instant after everything that an intent means: a calendar reads those that are not over by then.
-- Infinity, for one that goes on for ever; and for those of an earlier version until `migrate` has computed it.
ALTER TABLE intent ADD COLUMN over_at TIMESTAMPTZ NOT NULL DEFAULT 'infinity';
-- The first instant of it: a calendar reads those that have begun by its end. Before all time, until it is computed.
ALTER TABLE intent ADD COLUMN begins_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity';
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
ALTER TABLE plan ADD COLUMN retired_at TIMESTAMPTZ;
