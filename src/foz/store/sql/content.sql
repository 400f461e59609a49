-- name: make
CREATE TABLE IF NOT EXISTS content (
    entry_id    BLOB NOT NULL UNIQUE,
    principal   TEXT NOT NULL,
    project     TEXT NOT NULL,
    input       TEXT NOT NULL,
    output      TEXT NOT NULL,
    input_cut   INTEGER NOT NULL,
    output_cut  INTEGER NOT NULL
) STRICT;

-- name: keep
INSERT OR IGNORE INTO content (entry_id, principal, project, input, output, input_cut, output_cut)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: read
SELECT entry_id, principal, project, input, output, input_cut, output_cut FROM content WHERE entry_id = ?;
