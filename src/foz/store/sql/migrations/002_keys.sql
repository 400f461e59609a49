-- Callers' keys, and what is left of their allowances.

CREATE TABLE keys (
    id                  TEXT PRIMARY KEY NOT NULL,  -- the principal's name in the ledger; never the key
    hash                BLOB NOT NULL UNIQUE,       -- SHA-256 of the key
    label               TEXT NOT NULL,              -- what people call it
    role                TEXT NOT NULL CHECK (role IN ('admin', 'user')),
    project             TEXT,
    models              TEXT,                       -- a JSON list; null is all
    requests_per_minute INTEGER,
    tokens_per_minute   INTEGER,
    budget              INTEGER,                    -- pico-units of USD
    budget_days         INTEGER NOT NULL,
    created             INTEGER NOT NULL,           -- UTC milliseconds, as all times
    expires             INTEGER,
    revoked             INTEGER,
    last_used           INTEGER
) STRICT, WITHOUT ROWID;

-- Counts the changes that every process must hear of; when a key was last used is none.
CREATE TABLE key_changes (count INTEGER NOT NULL) STRICT;
INSERT INTO key_changes (count) VALUES (0);

CREATE TRIGGER key_made AFTER INSERT ON keys BEGIN
    UPDATE key_changes SET count = count + 1;
END;
CREATE TRIGGER key_removed AFTER DELETE ON keys BEGIN
    UPDATE key_changes SET count = count + 1;
END;
CREATE TRIGGER key_changed AFTER UPDATE OF
    hash, role, project, models, requests_per_minute, tokens_per_minute, budget, budget_days, expires, revoked ON keys
BEGIN
    UPDATE key_changes SET count = count + 1;
END;

-- What is used up of an allowance in one window of time. Slices lent to processes count as used.
CREATE TABLE uses (
    principal   TEXT NOT NULL,
    quantity    TEXT NOT NULL,      -- requests, tokens or budget
    window      INTEGER NOT NULL,   -- the minute, or the period of the budget
    used        INTEGER NOT NULL,
    PRIMARY KEY (principal, quantity)
) STRICT, WITHOUT ROWID;

-- Money lent to a process and not yet spent. What a dead process held goes back.
CREATE TABLE held_budgets (
    owner       BLOB NOT NULL,
    principal   TEXT NOT NULL,
    window      INTEGER NOT NULL,
    held        INTEGER NOT NULL,
    PRIMARY KEY (owner, principal)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_by_principal ON held_budgets (principal);
