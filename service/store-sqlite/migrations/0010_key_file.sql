-- The fingerprint of the key file that this database is sealed under, from the first process that had
-- both. Another file is refused.
ALTER TABLE deployment ADD COLUMN key_fingerprint BLOB CHECK (length(key_fingerprint) = 32);

-- To SQLite 3.40 and older, json_valid(NULL) is 0, not NULL: their integrity_check complained of rows
-- without a document, and what .dump had written lost those rows when it was read again. Only the text
-- of the constraints changes, which no stored row depends on (https://www.sqlite.org/lang_altertable.html,
-- section 8).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (json_valid(history) AND (history IS NULL)',
    'CHECK ((history IS NULL OR json_valid(history)) AND (history IS NULL)')
WHERE type = 'table' AND name = 'journal';
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (json_valid(outcome) AND (outcome IS NULL)',
    'CHECK ((outcome IS NULL OR json_valid(outcome)) AND (outcome IS NULL)')
WHERE type = 'table' AND name = 'zone_data';
UPDATE sqlite_schema SET sql = replace(sql,
    'CHECK (json_valid(moves))', 'CHECK (moves IS NULL OR json_valid(moves))')
WHERE type = 'table' AND name = 'outbox';
PRAGMA writable_schema = RESET;
