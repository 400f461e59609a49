-- name: used
SELECT count(*), coalesce(sum(size), 0) FROM files WHERE principal = ? AND project = ? AND expires > ?;

-- name: keep
INSERT INTO files (id, principal, project, name, purpose, kind, mime, size, created, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: find
SELECT id, name, purpose, kind, mime, size, created, expires FROM files
WHERE principal = ? AND project = ? AND id = ? AND expires > ?;

-- name: list
SELECT id, name, purpose, kind, mime, size, created, expires FROM files
WHERE principal = ? AND project = ? AND expires > ? AND (? = '' OR purpose = ?)
ORDER BY created, id;

-- name: remove
DELETE FROM files WHERE principal = ? AND project = ? AND id = ? AND expires > ? RETURNING 1;

-- name: expired
DELETE FROM files WHERE expires <= ? RETURNING id;

-- name: known
SELECT id FROM files;
