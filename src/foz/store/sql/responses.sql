-- name: keep
INSERT INTO responses (id, principal, project, previous, created, expires, kept, size, input, body, queued)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: prolong
WITH RECURSIVE before(id, depth) AS (
    SELECT ?1, 1
    UNION ALL
    SELECT r.previous, b.depth + 1 FROM before b JOIN responses r ON r.id = b.id
    WHERE r.previous IS NOT NULL AND b.depth < ?3
)
UPDATE responses SET kept = ?2 WHERE id IN (SELECT id FROM before) AND kept < ?2;

-- name: room
SELECT count, size FROM responses_room WHERE principal = ? AND project = ?;

-- name: oldest
SELECT id FROM responses WHERE principal = ? AND project = ? AND id <> ? ORDER BY created, id LIMIT 1;

-- name: forget_one
DELETE FROM responses WHERE id = ?;

-- name: find
SELECT id, created, previous, input, body, queued FROM responses
WHERE id = ? AND principal = ? AND project = ? AND expires > ?;

-- name: links
WITH RECURSIVE before(id, previous, size, depth) AS (
    SELECT id, previous, size, 1 FROM responses WHERE id = ?1 AND principal = ?2 AND project = ?3 AND expires > ?4
    UNION ALL
    SELECT r.id, r.previous, r.size, b.depth + 1 FROM before b JOIN responses r ON r.id = b.previous
    WHERE b.depth <= ?5 AND r.principal = ?2 AND r.project = ?3
)
SELECT id, previous, size FROM before ORDER BY depth DESC;

-- name: link
SELECT id, created, previous, input, body, queued FROM responses WHERE id = ?;

-- name: settle
UPDATE responses SET body = ?1, size = size + length(?1)
WHERE id = ?2 AND principal = ?3 AND project = ?4 AND body IS NULL;

-- name: remove
UPDATE responses SET expires = 0 WHERE id = ? AND principal = ? AND project = ? AND expires > ? RETURNING id;

-- name: drop_unneeded
DELETE FROM responses WHERE id = ?1 AND expires = 0 AND NOT EXISTS (SELECT 1 FROM responses WHERE previous = ?1)
RETURNING previous;

-- name: forget
DELETE FROM responses WHERE id IN (SELECT id FROM responses WHERE kept <= ? LIMIT ?);
