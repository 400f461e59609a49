-- `/*keys*/` stands where the keys of a report are named: fragments of the table in `reader.py`, each with a comma.

-- name: groups
-- Sums of money are kept in two halves: a sum of pico-units may exceed 64 bits.
SELECT
    /*keys*/
    count(*),
    total(state = 'open'), total(state = 'complete'), total(state = 'caller_gone'), total(state = 'upstream_cut'),
    total(state = 'failed'), total(state = 'interrupted'),
    coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cached), 0), coalesce(sum(reasoning), 0),
    total(estimated), total(price IS NULL AND state <> 'open'),
    count(price) FILTER (WHERE currency = 'USD'),
    coalesce(sum(price / 1000000000000) FILTER (WHERE currency = 'USD'), 0),
    coalesce(sum(price % 1000000000000) FILTER (WHERE currency = 'USD'), 0),
    avg(duration), percentile(duration, 50), percentile(duration, 95),
    avg(first_token), percentile(first_token, 50), percentile(first_token, 95)
FROM entries
WHERE id >= :first_id AND id < :last_id
    AND at >= :since AND at < :until
    AND (:project IS NULL OR project = :project)
    AND (:model IS NULL OR model = :model)
    AND (:principal IS NULL OR principal = :principal)
    AND (:process_id IS NULL OR process_id = :process_id)
    AND (:subprocess_id IS NULL OR subprocess_id = :subprocess_id)
    AND (:user_key IS NULL OR user_key = :user_key)
GROUP BY /*keys*/ 'all'
ORDER BY /*keys*/ 'all';

-- name: other_money
-- What was paid in other currencies than the usual one.
SELECT
    /*keys*/
    currency, sum(price / 1000000000000), sum(price % 1000000000000)
FROM entries
WHERE id >= :first_id AND id < :last_id
    AND at >= :since AND at < :until
    AND (:project IS NULL OR project = :project)
    AND (:model IS NULL OR model = :model)
    AND (:principal IS NULL OR principal = :principal)
    AND (:process_id IS NULL OR process_id = :process_id)
    AND (:subprocess_id IS NULL OR subprocess_id = :subprocess_id)
    AND (:user_key IS NULL OR user_key = :user_key)
    AND currency <> 'USD' AND price IS NOT NULL
GROUP BY /*keys*/ currency;

-- name: page
-- Newest first, from before an id on.
SELECT
    id, at, principal, project, process_id, subprocess_id, user_key, skin, operation, model,
    coalesce(
        (SELECT target FROM further_attempts WHERE entry_id = id ORDER BY number DESC LIMIT 1), first_target
    ),
    (first_number IS NOT NULL) + (SELECT count(*) FROM further_attempts WHERE entry_id = id),
    request_id, stream, job_id, state, status, input, output, cached, reasoning, estimated,
    first_token, duration, price, currency, price_version, fault
FROM entries
WHERE id >= :first_id AND id < :last_id
    AND at >= :since AND at < :until
    AND (:project IS NULL OR project = :project)
    AND (:model IS NULL OR model = :model)
    AND (:principal IS NULL OR principal = :principal)
    AND (:process_id IS NULL OR process_id = :process_id)
    AND (:subprocess_id IS NULL OR subprocess_id = :subprocess_id)
    AND (:user_key IS NULL OR user_key = :user_key)
    AND (NOT :settled OR state <> 'open')
ORDER BY id DESC
LIMIT :limit;

-- name: standing
-- Milliseconds of an answered call; calls that were answered; calls that failed on our side.
SELECT
    avg(duration) FILTER (WHERE state = 'complete'),
    count(*) FILTER (WHERE state = 'complete'),
    count(*) FILTER (
        WHERE state IN ('upstream_cut', 'interrupted') OR (state = 'failed' AND (status = 429 OR status >= 500))
    )
FROM entries
WHERE id >= :first_id AND at >= :since AND model = :model;
