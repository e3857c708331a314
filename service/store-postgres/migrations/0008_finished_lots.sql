-- The lots of an account of which nothing is available, held or owed. Every entry rewrites the account's
-- snapshot; these are rewritten only when one of them changes.
CREATE TABLE finished_lots (
    clinic_id  UUID NOT NULL,
    account_id UUID NOT NULL,
    lots       JSON NOT NULL,
    PRIMARY KEY (clinic_id, account_id),
    FOREIGN KEY (clinic_id, account_id) REFERENCES account (clinic_id, client_id)
);

WITH split AS (
    SELECT clinic_id, client_id,
           json_agg(lot) FILTER (WHERE is_finished) AS finished,
           coalesce(json_agg(lot) FILTER (WHERE NOT is_finished), '[]') AS unfinished
    FROM account, json_array_elements(snapshot -> 'lots') AS lot,
         LATERAL (SELECT (lot -> 'balance' ->> 'available')::bigint = 0
                     AND (lot -> 'balance' ->> 'held')::bigint = 0
                     AND (lot -> 'balance' ->> 'debt')::bigint = 0 AS is_finished) AS asked
    GROUP BY clinic_id, client_id
), moved AS (
    INSERT INTO finished_lots
    SELECT clinic_id, client_id, finished FROM split WHERE finished IS NOT NULL
)
UPDATE account SET snapshot = jsonb_set(snapshot::jsonb, '{lots}', split.unfinished::jsonb)::json
FROM split
WHERE split.finished IS NOT NULL AND account.clinic_id = split.clinic_id
  AND account.client_id = split.client_id;
