-- name: prelude
-- KEYS[1] is what comes before all keys. `ledger` is a list of records; what somebody has taken and not yet kept is in
-- a list of theirs.
local L = KEYS[1] .. ':ledger'

-- name: send
-- ARGV: records.
for place = 1, #ARGV do redis.call('RPUSH', L, ARGV[place]) end
return #ARGV

-- name: take
-- ARGV: who, how many. What they took before and did not keep comes first, and alone.
local own = L .. ':' .. ARGV[1]
if redis.call('EXISTS', own) == 0 then
    for _ = 1, ARGV[2] do
        if not redis.call('LMOVE', L, own, 'LEFT', 'RIGHT') then break end
    end
end
return redis.call('LRANGE', own, 0, -1)

-- name: kept
-- ARGV: who, how many, the first and the last of them: another process of the same name may have kept them before.
local own = L .. ':' .. ARGV[1]
if redis.call('LINDEX', own, 0) ~= ARGV[3] or redis.call('LINDEX', own, ARGV[2] - 1) ~= ARGV[4] then return 0 end
redis.call('LTRIM', own, ARGV[2], -1)
return 1
