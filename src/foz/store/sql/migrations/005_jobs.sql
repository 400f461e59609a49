-- Requests that outlive their connection. The rows that wait are their own queue.
--
-- A job's number is its place in the other tables. What was asked stands apart from how it stands, so that a look at
-- many jobs reads little; its log's rows lie side by side: `place` is the job's number times 2^28 plus the number of
-- the row's first piece. The log kept is always that of the job's present epoch.
CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY NOT NULL,
    id          BLOB NOT NULL UNIQUE,       -- UUIDv7
    at          INTEGER NOT NULL,           -- UTC milliseconds, as all times
    principal   TEXT NOT NULL,              -- the id of who asked
    caller      TEXT NOT NULL,              -- who asked, as JSON
    project     TEXT NOT NULL,
    skin        TEXT NOT NULL,
    model       TEXT NOT NULL,
    mode        TEXT NOT NULL,
    stream      INTEGER NOT NULL,
    lane        TEXT NOT NULL,
    key         TEXT NOT NULL,
    digest      BLOB NOT NULL,
    state       TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    publish     INTEGER NOT NULL,           -- when it should be published again, should it wait till then
    shared      INTEGER NOT NULL DEFAULT 0, -- whether a second caller was given it
    began       INTEGER,
    ended       INTEGER,
    served      TEXT,
    latency     REAL,
    trouble     TEXT,                       -- JSON
    dead        INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_principal ON jobs (principal, id);
CREATE INDEX jobs_waiting ON jobs (lane, due, id) WHERE state = 'pending';
CREATE INDEX jobs_unpublished ON jobs (publish) WHERE state = 'pending';
CREATE INDEX jobs_leased ON jobs (lane, due, id) WHERE state = 'processing';
CREATE INDEX jobs_over ON jobs (ended) WHERE ended IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (id) WHERE dead = 1;

CREATE TABLE job_orders (
    number      INTEGER PRIMARY KEY NOT NULL,
    data        BLOB NOT NULL
) STRICT;

CREATE TABLE job_log (
    place       INTEGER PRIMARY KEY NOT NULL,
    count       INTEGER NOT NULL,           -- of the pieces in this row
    pieces      BLOB NOT NULL               -- a MessagePack array of them
) STRICT;

CREATE TABLE job_keys (
    principal   TEXT NOT NULL,
    key         TEXT NOT NULL,
    job         BLOB NOT NULL,
    digest      BLOB NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_keys_by_time ON job_keys (at);

-- How many wait in each lane: counting them costs a millisecond for every 30,000, and each submission asks.
CREATE TABLE job_lanes (
    lane        TEXT PRIMARY KEY NOT NULL,
    waiting     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_comes AFTER INSERT ON jobs WHEN new.state = 'pending' BEGIN
    INSERT INTO job_lanes VALUES (new.lane, 1) ON CONFLICT DO UPDATE SET waiting = waiting + 1;
END;
CREATE TRIGGER job_waits_again AFTER UPDATE OF state ON jobs WHEN old.state <> 'pending' AND new.state = 'pending' BEGIN
    INSERT INTO job_lanes VALUES (new.lane, 1) ON CONFLICT DO UPDATE SET waiting = waiting + 1;
END;
CREATE TRIGGER job_waits_no_more AFTER UPDATE OF state ON jobs WHEN old.state = 'pending' AND new.state <> 'pending' BEGIN
    UPDATE job_lanes SET waiting = waiting - 1 WHERE lane = old.lane;
END;
CREATE TRIGGER job_goes AFTER DELETE ON jobs WHEN old.state = 'pending' BEGIN
    UPDATE job_lanes SET waiting = waiting - 1 WHERE lane = old.lane;
END;

-- Processes that take from a lane, each believed until a time.
CREATE TABLE job_workers (
    process     BLOB NOT NULL,
    lane        TEXT NOT NULL,
    until       INTEGER NOT NULL,
    PRIMARY KEY (process, lane)
) STRICT, WITHOUT ROWID;
