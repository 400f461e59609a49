-- name: seat
SELECT session, used, claim, claimed FROM agent_seats
WHERE principal = ? AND project = ? AND agent = ? AND channel = ? AND cuid = ?;

-- name: claim
INSERT INTO agent_seats (principal, project, agent, channel, cuid, session, used, claim, claimed)
VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?)
ON CONFLICT DO UPDATE SET session = NULL, used = excluded.used, claim = excluded.claim, claimed = excluded.claimed;

-- name: use
UPDATE agent_seats SET used = ?
WHERE principal = ? AND project = ? AND agent = ? AND channel = ? AND cuid = ?;

-- name: settle
UPDATE agent_seats SET session = ?, used = ?, claim = NULL
WHERE principal = ? AND project = ? AND agent = ? AND channel = ? AND cuid = ? AND claim = ?;

-- name: give_back
DELETE FROM agent_seats
WHERE principal = ? AND project = ? AND agent = ? AND channel = ? AND cuid = ? AND claim = ?;

-- name: drop
DELETE FROM agent_seats
WHERE principal = ? AND project = ? AND agent = ? AND channel = ? AND cuid = ? AND session = ?;

-- name: own
INSERT INTO agent_sessions (agent, session, principal, project, used) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET principal = excluded.principal, project = excluded.project, used = excluded.used;

-- name: owned
UPDATE agent_sessions SET used = ?
WHERE agent = ? AND session = ? AND principal = ? AND project = ? RETURNING 1;

-- name: seated
UPDATE agent_seats SET used = ?
WHERE agent = ? AND session = ? AND principal = ? AND project = ? AND used >= ? RETURNING 1;

-- name: disown
DELETE FROM agent_sessions WHERE agent = ? AND session = ? AND principal = ? AND project = ?;

-- name: unseat
DELETE FROM agent_seats WHERE agent = ? AND session = ? AND principal = ? AND project = ?;

-- name: forget_seats
DELETE FROM agent_seats WHERE used < ?;

-- name: forget_sessions
DELETE FROM agent_sessions WHERE used < ?;
