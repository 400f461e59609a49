-- name: add
INSERT INTO deployments (id, at, principal, project, model, wish, wanted, asked, seen, gone)
VALUES (?, ?, ?, ?, ?, ?, 'running', 0, ?, 0);

-- name: wanted
SELECT /*deployment*/ FROM deployments WHERE model = ? AND wanted = 'running';

-- name: ask_again
UPDATE deployments SET asked = asked + 1 WHERE id = ? RETURNING /*deployment*/;

-- name: find
SELECT /*deployment*/ FROM deployments WHERE id = ?;

-- name: current
SELECT /*deployment*/ FROM deployments WHERE model = ? AND gone = 0 ORDER BY at DESC, id DESC LIMIT 1;

-- name: listed
SELECT /*deployment*/ FROM deployments ORDER BY at DESC, id DESC;

-- name: want
UPDATE deployments SET wanted = ?, asked = asked + 1 WHERE id = ? RETURNING /*deployment*/;

-- name: see
UPDATE deployments SET seen = ?, gone = ? WHERE id = ?;

-- name: say
INSERT INTO deployment_lines (deployment, number, at, level, message)
SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM deployment_lines WHERE deployment = ?1
RETURNING number;

-- name: forget_lines
DELETE FROM deployment_lines WHERE deployment = ? AND number <= ?;

-- name: lines
SELECT number, at, level, message FROM deployment_lines WHERE deployment = ? AND number > ? ORDER BY number LIMIT ?;

-- name: forget
DELETE FROM deployments WHERE id IN (
    SELECT id FROM deployments WHERE gone = 1 ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?
) RETURNING id;

-- name: forget_all_lines
DELETE FROM deployment_lines WHERE deployment = ?;

-- name: changed
UPDATE deployment_changes SET count = count + 1;

-- name: version
SELECT count FROM deployment_changes;
