-- name: open
-- An entry and its first attempt. The row of values is repeated for as many as are written at once.
INSERT INTO entries (
    id, at, owner, principal, project, process_id, subprocess_id, user_key, skin, operation, model,
    request_id, stream, job_id, state, first_number, first_target, first_placement, first_at, first_state
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, ?, ?, ?);

-- name: settle
-- The end of entries whose last attempt is their first, or who had none. The first settle wins.
-- The `+` keeps the state out of the search: each row is found by its id.
UPDATE entries SET
    owner = NULL, state = ended.column2, status = ended.column3,
    input = ended.column4, output = ended.column5, cached = ended.column6, cache_written = ended.column7,
    reasoning = ended.column8, estimated = ended.column9, first_token = ended.column10, duration = ended.column11,
    price = ended.column12, currency = ended.column13, price_version = ended.column14, fault = ended.column15,
    first_state = ended.column16, first_status = ended.column17, first_duration = ended.column18, first_fault = ended.column19
FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)) AS ended
WHERE entries.id = ended.column1 AND +entries.state = 'open';

-- name: settle_entry
-- The end of an entry alone: its last attempt is ended by a statement of its own, before.
UPDATE entries SET
    owner = NULL, state = :state, status = :status,
    input = :input, output = :output, cached = :cached, cache_written = :cache_written,
    reasoning = :reasoning, estimated = :estimated, first_token = :first_token, duration = :duration,
    price = :price, currency = :currency, price_version = :price_version, fault = :fault
WHERE id = :id AND state = 'open';

-- name: end_first
-- The end of a first attempt whose tokens are not the entry's.
UPDATE entries SET
    first_state = :state, first_status = :status, first_duration = :duration, first_fault = :fault,
    first_input = :input, first_output = :output, first_cached = :cached, first_cache_written = :cache_written,
    first_reasoning = :reasoning, first_estimated = :estimated
WHERE id = :entry_id AND state = 'open' AND first_number = :number AND first_state = 'open';

-- name: end_further
UPDATE further_attempts SET
    state = :state, status = :status, duration = :duration, fault = :fault,
    input = :input, output = :output, cached = :cached, cache_written = :cache_written,
    reasoning = :reasoning, estimated = :estimated
WHERE entry_id = :entry_id AND number = :number AND state = 'open';

-- name: end_rest_first
-- An attempt that is still open when its entry ends, ends with it.
UPDATE entries SET first_state = :state, first_fault = :fault
WHERE id = :id AND state = 'open' AND first_state = 'open';

-- name: end_rest_further
UPDATE further_attempts SET state = :state, fault = :fault
WHERE entry_id = :id AND state = 'open' AND EXISTS (SELECT 1 FROM entries WHERE id = :id AND state = 'open');

-- name: first_was_made
-- The first attempt of an entry that was opened without one.
UPDATE entries SET
    first_number = :number, first_target = :target, first_placement = :placement, first_at = :at, first_state = 'open'
WHERE id = :entry_id AND state = 'open' AND first_number IS NULL;

-- name: next
INSERT INTO further_attempts (entry_id, number, target, placement, at, state)
SELECT :entry_id, :number, :target, :placement, :at, 'open'
FROM entries WHERE id = :entry_id AND state = 'open';

-- name: owners
-- Those who have entries open.
SELECT DISTINCT owner FROM entries WHERE owner IS NOT NULL;

-- name: interrupt_further
UPDATE further_attempts SET state = 'interrupted', fault = :fault
WHERE state = 'open' AND entry_id IN (SELECT id FROM entries WHERE owner = :owner);

-- name: interrupt
-- What a dead owner left open. When it ended nobody knows: it has no duration.
UPDATE entries SET
    owner = NULL, state = 'interrupted', fault = :fault,
    first_fault = iif(first_state = 'open', :fault, first_fault),
    first_state = iif(first_state = 'open', 'interrupted', first_state)
WHERE owner = :owner;
