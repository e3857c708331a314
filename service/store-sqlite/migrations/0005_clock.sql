-- What holds for the whole deployment. A database keeps the machines' time, or began under a clock of
-- its own, as demos and tests do. On a server, whoever writes with a clock that is further from the
-- server's than skew_max_ms is refused.
CREATE TABLE deployment (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    clock       TEXT NOT NULL CHECK (clock IN ('machine', 'own')),
    skew_max_ms INTEGER NOT NULL CHECK (skew_max_ms > 0)
) STRICT;
INSERT INTO deployment (id, clock, skew_max_ms) VALUES (1, 'machine', 2000);
