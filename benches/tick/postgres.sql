-- Standing bookings that are not due for a year. What refers to what is not checked on the way in.
SET session_replication_role = replica;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
INSERT INTO therapist (clinic_id, id, zone, times, times_version)
SELECT '00000000-0000-8000-8000-000000000001', lpad(to_hex(4294967296 + n), 32, '0')::uuid,
    'UTC', '{"v": 1, "data": {"hours": []}}', 1
FROM generate_series(0, ALL_OTHERS / 500) AS n;
INSERT INTO client (clinic_id, id, legal_hold)
SELECT '00000000-0000-8000-8000-000000000001', lpad(to_hex(8589934592 + n), 32, '0')::uuid,
    false
FROM generate_series(0, ALL_OTHERS / 4) AS n;
INSERT INTO account (clinic_id, client_id, version, snapshot)
SELECT '00000000-0000-8000-8000-000000000001', lpad(to_hex(8589934592 + n), 32, '0')::uuid, 0, '{}'
FROM generate_series(0, ALL_OTHERS / 4) AS n;
INSERT INTO intent
SELECT '00000000-0000-8000-8000-000000000001', lpad(to_hex(12884901888 + n), 32, '0')::uuid,
    lpad(to_hex(12884901888 + n), 32, '0')::uuid, NULL, 'active', NULL,
    lpad(to_hex(4294967296 + n / 500), 32, '0')::uuid,
    lpad(to_hex(8589934592 + n / 4), 32, '0')::uuid,
    '01900000-0000-7000-8000-010000000000', 'UTC',
    TIMESTAMP '2027-06-01 09:00' + make_interval(mins => n), 50, 'shift', 'FREQ=WEEKLY',
    '{"v": 1, "data": {}}', false, TIMESTAMPTZ '2026-03-02 07:00Z',
    TIMESTAMPTZ '2027-06-01 09:00Z' + make_interval(mins => n), 1
FROM generate_series(1, ALL_OTHERS) AS n;
