-- A token may end by itself. Its MAC covers when.
ALTER TABLE token ADD COLUMN ends_at INTEGER CHECK (ends_at > created_at);
