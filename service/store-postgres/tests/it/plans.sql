-- A practice of a million standing bookings. Three parts: the second and
-- the third are run beside each other.
CREATE FUNCTION ident(base BIGINT, n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE
    RETURN lpad(to_hex(base + n), 32, '0')::uuid;
CREATE FUNCTION clinic() RETURNS UUID LANGUAGE sql IMMUTABLE
    RETURN '00000000-0000-8000-8000-000000000001'::uuid;
-- Monday noon, as the tests have it.
CREATE FUNCTION noon() RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE
    RETURN TIMESTAMP '2026-06-01 12:00' AT TIME ZONE 'UTC';

-- PART
SET session_replication_role = replica; -- what refers to what is not checked on the way in

-- A hundred are due. An index is made faster when the rows are there.
CREATE TEMPORARY TABLE index_of_intent AS
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'intent' AND indexname <> 'intent_pkey';
DO $$ DECLARE name TEXT; BEGIN
    FOR name IN SELECT indexname FROM index_of_intent LOOP EXECUTE 'DROP INDEX ' || name; END LOOP;
END $$;
INSERT INTO intent
SELECT clinic(), ident(1073741824, n), ident(1073741824, n), NULL, 'active', NULL,
    ident(268435456, n % 2000),
    ident(536870912, n % 250000), ident(805306368, 0), 'UTC', TIMESTAMP '2026-01-05 09:00', 50,
    'shift', 'FREQ=WEEKLY', '{"v": 1, "data": {}}', false, noon(),
    noon() + make_interval(mins => (n - 99)::int), 1
FROM generate_series(0, 999999) AS n;
DO $$ DECLARE definition TEXT; BEGIN
    FOR definition IN SELECT indexdef FROM index_of_intent LOOP EXECUTE definition; END LOOP;
END $$;

-- PART
SET session_replication_role = replica;

INSERT INTO therapist (clinic_id, id, zone, times, times_version)
SELECT clinic(), ident(268435456, n), 'UTC', '{"v": 1, "data": {"hours": []}}', 1 FROM generate_series(0, 1999) AS n;

-- Every person has a key and something sealed under it; to the database they are bytes.
INSERT INTO dek SELECT clinic(), ident(536870912, n), 1, sha256(n::text::bytea), noon()
FROM generate_series(0, 249999) AS n;
INSERT INTO client (clinic_id, id, sealed, sealed_version, dek_generation, legal_hold,
    therapist_id)
SELECT clinic(), ident(536870912, n), sha256(n::text::bytea), 1, 1, false,
    ident(268435456, n % 2000)
FROM generate_series(0, 249999) AS n;
INSERT INTO blind_index
SELECT clinic(), 'client', ident(536870912, n), 1, sha256(n::text::bytea)
FROM generate_series(0, 249999) AS n;

INSERT INTO subscription
SELECT clinic(), ident(536870912, n), '{"v": 1, "data": []}', 1 FROM generate_series(0, 249999) AS n;

INSERT INTO feed (clinic_id, subject_role, subject_id, hash, mac)
SELECT clinic(), 'client', ident(536870912, n), sha256(n::text::bytea), sha256('mac')
FROM generate_series(0, 249999) AS n;

INSERT INTO token (id, clinic_id, hash, mac, role, subject_id, created_at)
SELECT ident(2415919104, n), clinic(), sha256(n::text::bytea), sha256('mac'), 'client',
    ident(536870912, n), noon()
FROM generate_series(0, 49999) AS n;

-- A tenth to come, the others over. A hundred each are to be reminded of, to be funded, and to be
-- asked about.
INSERT INTO session
SELECT clinic(), ident(1342177280, n), ident(1073741824, n), at AT TIME ZONE 'UTC',
    ident(268435456, n % 2000), ident(536870912, n % 250000), ident(805306368, 0), at,
    at + INTERVAL '50 minutes', 'UTC', '2026a', state, json_build_object('state', state), 0, 1,
    CASE WHEN n < 200 THEN noon() - INTERVAL '1 hour'
         WHEN state <> 'completed' THEN greatest(at - INTERVAL '1 day', noon() + INTERVAL '1 day')
         WHEN n < 30000 THEN at - INTERVAL '1 day' END, 1, at AT TIME ZONE 'UTC'
FROM generate_series(0, 299999) AS n,
    LATERAL (SELECT CASE WHEN n < 30000 THEN noon() + make_interval(hours => 25 + (n / 2000)::int)
        ELSE noon() - make_interval(hours => (n / 2000)::int) END AS at) AS times,
    LATERAL (SELECT CASE WHEN n BETWEEN 100 AND 199 THEN 'unfunded' WHEN n < 30100 THEN 'scheduled'
        ELSE 'completed' END AS state) AS states;
UPDATE session SET next_due_at = ends_at + INTERVAL '1 hour'
WHERE id BETWEEN ident(1342177280, 30000) AND ident(1342177280, 30099);

INSERT INTO ledger_entry
SELECT clinic(), ident(536870912, n % 200000 + 50000), 1 + n / 200000, 'v1/test/' || n,
    '{}', noon(), noon(), sha256(''), sha256('')
FROM generate_series(0, 299999) AS n;

INSERT INTO journal (clinic_id, subject_kind, subject_id, version, kind, actor, body, series_id,
    history, at, idempotency_key, request_hash, rows_written)
SELECT clinic(), 'intent', ident(1073741824, n), 1, 'intent_created',
    'client/' || ident(536870912, n % 250000), '{}', ident(1073741824, n),
    '{"v": 1, "data": {"events": []}}', noon(), n::text, sha256(''), 2
FROM generate_series(0, 299999) AS n;

-- The last hundred are to be sent, the hundred before them are dead.
INSERT INTO outbox (clinic_id, dedupe_key, kind, session_id, slot_version, recipient_role,
    recipient_id, due_at, state, attempts, next_due_at, rows_written)
SELECT clinic(), n::text, 'session_scheduled', ident(1342177280, n), 0, 'client',
    ident(536870912, n % 250000), noon(),
    CASE WHEN n >= 299900 THEN 'pending' WHEN n >= 299800 THEN 'dead' ELSE 'sent' END, 1,
    CASE WHEN n >= 299900 THEN noon() END, 1
FROM generate_series(0, 299999) AS n;
