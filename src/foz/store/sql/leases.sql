-- name: used
SELECT window, used FROM uses WHERE principal = :principal AND quantity = :quantity;

-- name: set_used
INSERT INTO uses (principal, quantity, window, used) VALUES (:principal, :quantity, :window, :used)
ON CONFLICT DO UPDATE SET window = excluded.window, used = excluded.used;

-- name: charge
-- What was used beyond what had been lent. A newer window is left alone.
INSERT INTO uses (principal, quantity, window, used) VALUES (:principal, :quantity, :window, :amount)
ON CONFLICT DO UPDATE SET
    used = iif(uses.window = excluded.window, uses.used, 0) + excluded.used,
    window = excluded.window
WHERE uses.window <= excluded.window;

-- name: held
-- What all processes hold. One that spent more than it held is in debt here, and that is in `uses` already.
SELECT coalesce(sum(max(held, 0)), 0) FROM held_budgets WHERE principal = :principal AND window = :window;

-- name: hold
INSERT INTO held_budgets (owner, principal, window, held) VALUES (:owner, :principal, :window, :amount)
ON CONFLICT DO UPDATE SET
    held = iif(held_budgets.window = excluded.window, held_budgets.held, 0) + excluded.held,
    window = excluded.window;

-- name: let_go
UPDATE held_budgets SET held = held - :amount
WHERE owner = :owner AND principal = :principal AND window = :window;

-- name: drop_owner
DELETE FROM held_budgets WHERE owner = :owner;
