-- name: stand_for
INSERT INTO job_keys (principal, key, job, digest, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1;

-- name: stands_for
SELECT job, digest, at FROM job_keys WHERE principal = ? AND key = ?;

-- name: stand_anew
UPDATE job_keys SET job = ?, digest = ?, at = ? WHERE principal = ? AND key = ?;

-- name: add
INSERT INTO jobs (id, at, principal, caller, project, skin, model, mode, stream, lane, key, digest, state, epoch,
    attempts, due, publish, dead)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, 0, ?, ?, 0);

-- name: order
INSERT INTO job_orders (number, data) VALUES (?, ?);

-- name: share
UPDATE jobs SET shared = 1 WHERE id = ? AND shared = 0;

-- name: published
UPDATE jobs SET publish = next.column3
FROM (VALUES (?, ?, ?)) AS next
WHERE jobs.id = next.column1 AND +jobs.state IN ('pending', 'processing') AND +jobs.due <= next.column2;

-- name: withdraw
DELETE FROM jobs WHERE id = ? AND state = 'pending' AND epoch = 0 AND shared = 0 RETURNING number, principal, key;

-- name: remove
DELETE FROM jobs WHERE id = ? AND state NOT IN ('pending', 'processing') RETURNING number, principal, key;

-- name: free_key
DELETE FROM job_keys WHERE principal = ? AND key = ? AND job = ?;

-- name: forget_order
DELETE FROM job_orders WHERE number = ?;

-- name: forget_log
DELETE FROM job_log WHERE place BETWEEN ? AND ?;

-- name: find
SELECT /*job*/ FROM jobs WHERE id = ?;

-- name: listed
SELECT /*job*/ FROM jobs WHERE id < ? ORDER BY id DESC LIMIT ?;

-- name: listed_of
SELECT /*job*/ FROM jobs WHERE principal = ? AND id < ? ORDER BY id DESC LIMIT ?;

-- name: dead
SELECT /*job*/ FROM jobs WHERE dead = 1 ORDER BY id DESC LIMIT ?;

-- name: claim
UPDATE jobs SET state = 'processing', epoch = epoch + 1, attempts = attempts + 1, due = ?1, publish = ?1,
    began = coalesce(began, ?2)
WHERE id = ?3 AND due <= ?2 AND state IN ('pending', 'processing') RETURNING number, /*job*/;

-- name: ordered
SELECT data FROM job_orders WHERE number = ?;

-- name: renew
UPDATE jobs SET due = max(due, held.column3), publish = iif(due < held.column3, held.column3, publish)
FROM (VALUES (?, ?, ?)) AS held
WHERE jobs.id = held.column1 AND jobs.epoch = held.column2 AND +jobs.state = 'processing' RETURNING jobs.id;

-- name: holds
SELECT number FROM jobs WHERE id = ? AND epoch = ? AND state = 'processing';

-- name: append
INSERT OR REPLACE INTO job_log (place, count, pieces)
SELECT (number << 28) + ?, ?, ? FROM jobs WHERE id = ? AND epoch = ? AND state = 'processing' RETURNING 1;

-- name: end
UPDATE jobs SET state = ?, ended = ?, served = ?, latency = ?, trouble = ?, dead = ?
WHERE id = ? AND epoch = ? AND state = 'processing' RETURNING number;

-- name: put_back
UPDATE jobs SET state = 'pending', lane = ?1, due = ?2, publish = ?2, attempts = attempts - ?3
WHERE id = ?4 AND epoch = ?5 AND state = 'processing' RETURNING 1;

-- name: cancel
UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state IN ('pending', 'processing')
RETURNING number, /*job*/;

-- name: revive
UPDATE jobs SET state = 'pending', due = ?1, publish = ?1, attempts = 0, ended = NULL, served = NULL, latency = NULL,
    trouble = NULL, dead = 0
WHERE id = ?2 AND state = 'failed' RETURNING /*job*/;

-- name: place
SELECT number, epoch FROM jobs WHERE id = ?;

-- name: log
SELECT place, pieces FROM job_log
WHERE place >= coalesce((SELECT max(place) FROM job_log WHERE place BETWEEN ?1 AND ?2), ?1) AND place <= ?3
ORDER BY place;

-- name: standing
SELECT state, epoch, coalesce((
    SELECT place - (number << 28) + count - 1 FROM job_log
    WHERE place BETWEEN number << 28 AND (number << 28) + 268435455 ORDER BY place DESC LIMIT 1
), -1)
FROM jobs WHERE id = ?;

-- name: unpublished
SELECT /*job*/ FROM jobs WHERE state = 'pending' AND publish <= ? ORDER BY publish LIMIT ?;

-- name: lapsed
SELECT /*job*/ FROM jobs WHERE state = 'processing' AND lane = ?1 AND due <= ?2 AND publish <= ?2 ORDER BY due LIMIT ?3;

-- name: over
SELECT number FROM jobs WHERE ended <= ? ORDER BY ended LIMIT ?;

-- name: forget
DELETE FROM jobs WHERE number = ?;

-- name: forget_keys
DELETE FROM job_keys WHERE (principal, key) IN (SELECT principal, key FROM job_keys WHERE at <= ? ORDER BY at LIMIT ?)
RETURNING 1;

-- name: next
SELECT id FROM jobs WHERE state = 'pending' AND lane = ? AND due <= ? ORDER BY due, id LIMIT ?;

-- name: next_lapsed
SELECT id FROM jobs WHERE state = 'processing' AND lane = ? AND due <= ? ORDER BY due, id LIMIT ?;

-- name: waiting
SELECT waiting FROM job_lanes WHERE lane = ?;

-- name: workers
SELECT count(*) FROM job_workers WHERE lane = ? AND until > ?;

-- name: names
SELECT process FROM job_workers WHERE lane = ? AND until > ? ORDER BY process;

-- name: present
INSERT INTO job_workers (process, lane, until) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET until = excluded.until;

-- name: absent
DELETE FROM job_workers WHERE process = ?;

-- name: forget_workers
DELETE FROM job_workers WHERE until <= ?;
