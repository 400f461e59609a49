-- name: create
INSERT INTO keys (
    id, hash, label, role, project, models, requests_per_minute, tokens_per_minute, budget, budget_days, created, expires
) VALUES (
    :id, :hash, :label, :role, :project, :models,
    :requests_per_minute, :tokens_per_minute, :budget, :budget_days, :created, :expires
);

-- name: list
SELECT
    id, label, role, project, models, requests_per_minute, tokens_per_minute, budget, budget_days,
    created, expires, revoked, last_used
FROM keys ORDER BY created, id;

-- name: living
-- Those that may be used now.
SELECT
    hash, id, role, project, models, requests_per_minute, tokens_per_minute, budget, budget_days, expires
FROM keys WHERE revoked IS NULL AND (expires IS NULL OR expires > :now);

-- name: any
SELECT EXISTS (SELECT 1 FROM keys);

-- name: changes
SELECT count FROM key_changes;

-- name: revoke
UPDATE keys SET revoked = :now WHERE id = :id AND revoked IS NULL;

-- name: known
SELECT revoked FROM keys WHERE id = :id;

-- name: used
UPDATE keys SET last_used = :now WHERE id = :id;
