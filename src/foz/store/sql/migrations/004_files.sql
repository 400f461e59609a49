-- Files that callers have uploaded: what and whose they are. Their bytes lie in files beside the ledger.
CREATE TABLE files (
    id          TEXT NOT NULL PRIMARY KEY,
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    name        TEXT NOT NULL,
    purpose     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    mime        TEXT NOT NULL,
    size        INTEGER NOT NULL,
    created     INTEGER NOT NULL,   -- UTC milliseconds
    expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_owner ON files (principal, project, created, id);
CREATE INDEX files_by_end ON files (expires);
