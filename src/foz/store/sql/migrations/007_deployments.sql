-- Models that we run: what is wanted, and what was last seen of it. Wishes and what is seen are JSON.
CREATE TABLE deployments (
    id          TEXT PRIMARY KEY NOT NULL,
    at          INTEGER NOT NULL,
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    model       TEXT NOT NULL,
    wish        TEXT NOT NULL,
    wanted      TEXT NOT NULL,
    asked       INTEGER NOT NULL,
    seen        TEXT NOT NULL,
    gone        INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX deployments_wanted ON deployments (model) WHERE wanted = 'running';
CREATE INDEX deployments_by_time ON deployments (at, id);

CREATE TABLE deployment_lines (
    deployment  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    level       TEXT NOT NULL,
    message     TEXT NOT NULL,
    PRIMARY KEY (deployment, number)
) STRICT, WITHOUT ROWID;

-- One row: how often anything of the above was written.
CREATE TABLE deployment_changes (
    only        INTEGER PRIMARY KEY CHECK (only = 0),
    count       INTEGER NOT NULL
) STRICT;
INSERT INTO deployment_changes VALUES (0, 0);
