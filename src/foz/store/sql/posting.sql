-- name: upto
SELECT upto FROM posting;

-- name: tell
INSERT INTO posting (only, upto) VALUES (0, :upto)
ON CONFLICT (only) DO UPDATE SET upto = max(upto, excluded.upto);

-- name: next
-- Entries of jobs after an id, in order, also those that are still open.
SELECT id, state FROM entries WHERE id > :upto AND job_id IS NOT NULL ORDER BY id LIMIT :most;

-- name: settled
SELECT
    id, at, principal, project, process_id, subprocess_id, user_key, skin, operation, model, request_id, stream,
    job_id, state, status, input, output, cached, cache_written, reasoning, estimated, first_token, duration,
    price, currency, price_version, fault, first_number, first_target, first_placement, first_at, first_state,
    first_status, first_duration, first_fault, first_input, first_output, first_cached, first_cache_written,
    first_reasoning, first_estimated
FROM entries WHERE id = :id AND state != 'open';

-- name: next_further
SELECT
    entry_id, number, target, placement, at, state, status, duration, fault, input, output, cached, cache_written,
    reasoning, estimated
FROM further_attempts WHERE entry_id = :id ORDER BY number;

-- name: keep
INSERT OR IGNORE INTO entries (
    id, at, principal, project, process_id, subprocess_id, user_key, skin, operation, model, request_id, stream,
    job_id, state, status, input, output, cached, cache_written, reasoning, estimated, first_token, duration,
    price, currency, price_version, fault, first_number, first_target, first_placement, first_at, first_state,
    first_status, first_duration, first_fault, first_input, first_output, first_cached, first_cache_written,
    first_reasoning, first_estimated
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: keep_further
INSERT OR IGNORE INTO further_attempts (
    entry_id, number, target, placement, at, state, status, duration, fault, input, output, cached, cache_written,
    reasoning, estimated
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
