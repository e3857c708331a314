-- Standing bookings that are not due for a year. What refers to what is not checked on the way in.
PRAGMA foreign_keys = OFF;
BEGIN;
INSERT INTO therapist (clinic_id, id, zone, times, times_version)
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ALL_OTHERS / 500)
SELECT X'00000000000080008000000000000001', CAST(printf('t%015d', n) AS BLOB), 'UTC',
    '{"v":1,"data":{"hours":[]}}', 1 FROM numbers;
INSERT INTO client (clinic_id, id, legal_hold)
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ALL_OTHERS / 4)
SELECT X'00000000000080008000000000000001', CAST(printf('c%015d', n) AS BLOB), 0
FROM numbers;
INSERT INTO account (clinic_id, client_id, version, snapshot)
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ALL_OTHERS / 4)
SELECT X'00000000000080008000000000000001', CAST(printf('c%015d', n) AS BLOB), 0, '{}' FROM numbers;
INSERT INTO intent
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ALL_OTHERS)
SELECT X'00000000000080008000000000000001', CAST(printf('i%015d', n) AS BLOB),
    CAST(printf('i%015d', n) AS BLOB), NULL, 'active', NULL, CAST(printf('t%015d', n / 500) AS BLOB),
    CAST(printf('c%015d', n / 4) AS BLOB), X'01900000000070008000010000000000', 'UTC',
    1811840400 + n * 60, 50, 'shift', 'FREQ=WEEKLY', '{"v":1,"data":{}}', 0, 1772434800000000,
    (1811840400 + n * 60) * 1000000, 1 FROM numbers;
COMMIT;
