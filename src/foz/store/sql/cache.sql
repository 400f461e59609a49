-- name: make
CREATE TABLE answers (
    number  INTEGER PRIMARY KEY,  -- in the order in which they were kept
    key     BLOB NOT NULL UNIQUE,
    expires INTEGER NOT NULL,     -- UTC milliseconds
    data    BLOB NOT NULL
) STRICT;

CREATE INDEX answers_expires ON answers (expires);

-- name: find
SELECT data FROM answers WHERE key = ? AND expires > ?;

-- name: keep
-- A new row, also where there was one: it is the newest.
INSERT OR REPLACE INTO answers (key, expires, data) VALUES (?, ?, ?);

-- name: drop_expired
DELETE FROM answers WHERE number IN (SELECT number FROM answers WHERE expires <= ? ORDER BY expires LIMIT ?);

-- name: drop_oldest
DELETE FROM answers WHERE number = (SELECT min(number) FROM answers);
