-- The account of every call.
--
-- An entry carries its first attempt in its own row: nearly every call has exactly one,
-- and one row opened and settled costs half of two. Further attempts have a table of their own;
-- the view `attempts` shows them all alike.

CREATE TABLE entries (
    id              BLOB PRIMARY KEY NOT NULL,  -- UUIDv7
    at              INTEGER NOT NULL,           -- UTC milliseconds, as all times
    owner           BLOB,                       -- the process that will settle it; null once it is settled
    principal       TEXT NOT NULL,
    project         TEXT NOT NULL,
    process_id      TEXT,
    subprocess_id   TEXT,
    user_key        TEXT,
    skin            TEXT NOT NULL,
    operation       TEXT NOT NULL,
    model           TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    stream          INTEGER NOT NULL,
    job_id          TEXT,
    state           TEXT NOT NULL,
    status          INTEGER,
    input           INTEGER,                    -- tokens; null is unknown
    output          INTEGER,
    cached          INTEGER,
    cache_written   INTEGER,
    reasoning       INTEGER,
    estimated       INTEGER NOT NULL DEFAULT 0,
    first_token     INTEGER,                    -- milliseconds from `at`
    duration        INTEGER,
    price           INTEGER,                    -- pico-units of `currency`
    currency        TEXT,
    price_version   TEXT,
    fault           TEXT,
    first_number    INTEGER,                    -- the first attempt; null where there was none
    first_target    TEXT,
    first_placement TEXT,
    first_at        INTEGER,
    first_state     TEXT,
    first_status    INTEGER,
    first_duration  INTEGER,
    first_fault     TEXT,
    first_input     INTEGER,                    -- its tokens, where they are not the entry's:
    first_output    INTEGER,                    -- then `first_estimated` is not null
    first_cached    INTEGER,
    first_cache_written INTEGER,
    first_reasoning INTEGER,
    first_estimated INTEGER
) STRICT, WITHOUT ROWID;

-- As small as what is in flight: it finds what a dead owner left open.
CREATE INDEX entries_open ON entries (owner) WHERE owner IS NOT NULL;

CREATE TABLE further_attempts (
    entry_id        BLOB NOT NULL,
    number          INTEGER NOT NULL,
    target          TEXT NOT NULL,
    placement       TEXT NOT NULL,
    at              INTEGER NOT NULL,
    state           TEXT NOT NULL,
    status          INTEGER,
    duration        INTEGER,
    fault           TEXT,
    input           INTEGER,
    output          INTEGER,
    cached          INTEGER,
    cache_written   INTEGER,
    reasoning       INTEGER,
    estimated       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (entry_id, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW attempts (
    entry_id, number, target, placement, at, state, status, duration, fault,
    input, output, cached, cache_written, reasoning, estimated
) AS
SELECT
    id, first_number, first_target, first_placement, first_at, first_state, first_status, first_duration, first_fault,
    iif(first_estimated IS NULL, input, first_input),
    iif(first_estimated IS NULL, output, first_output),
    iif(first_estimated IS NULL, cached, first_cached),
    iif(first_estimated IS NULL, cache_written, first_cache_written),
    iif(first_estimated IS NULL, reasoning, first_reasoning),
    iif(first_estimated IS NULL, estimated, first_estimated)
FROM entries
WHERE first_number IS NOT NULL
UNION ALL
SELECT
    entry_id, number, target, placement, at, state, status, duration, fault,
    input, output, cached, cache_written, reasoning, estimated
FROM further_attempts;
