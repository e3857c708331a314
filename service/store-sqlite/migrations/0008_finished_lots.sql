-- The lots of an account of which nothing is available, held or owed. Every entry rewrites the account's
-- snapshot; these are rewritten only when one of them changes.
CREATE TABLE finished_lots (
    clinic_id  BLOB NOT NULL,
    account_id BLOB NOT NULL,
    lots       TEXT NOT NULL CHECK (json_valid(lots)),
    PRIMARY KEY (clinic_id, account_id),
    FOREIGN KEY (clinic_id, account_id) REFERENCES account (clinic_id, client_id)
) STRICT;

INSERT INTO finished_lots
SELECT clinic_id, client_id, lots FROM (
    SELECT clinic_id, client_id, (
        SELECT json_group_array(json(value)) FROM json_each(snapshot, '$.lots')
        WHERE value ->> '$.balance.available' = 0 AND value ->> '$.balance.held' = 0
          AND value ->> '$.balance.debt' = 0
    ) AS lots
    FROM account
) WHERE lots <> '[]';
UPDATE account SET snapshot = json_set(snapshot, '$.lots', (
    SELECT json_group_array(json(value)) FROM json_each(account.snapshot, '$.lots')
    WHERE NOT (value ->> '$.balance.available' = 0 AND value ->> '$.balance.held' = 0
               AND value ->> '$.balance.debt' = 0)
))
WHERE EXISTS (SELECT 1 FROM finished_lots
              WHERE clinic_id = account.clinic_id AND account_id = account.client_id);
