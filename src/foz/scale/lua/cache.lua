-- name: prelude
-- KEYS[1] is what comes before all keys. An answer is a hash of its data and its end; its size stands apart, so that it
-- is known when Redis has removed the answer itself. Sorted sets by key: order (as they came) and expires (by when).
local P = KEYS[1]
local OVERHEAD = 512
local function at(key) return P .. ':answer:' .. key end
local function set(name) return P .. ':' .. name end
local function drop(key)
    local size = redis.call('HGET', set('sizes'), key)
    if not size then return end
    redis.call('DECRBY', set('size'), size)
    redis.call('HDEL', set('sizes'), key)
    redis.call('ZREM', set('order'), key)
    redis.call('ZREM', set('expires'), key)
    redis.call('UNLINK', at(key))
end
-- The oldest go till the rest has room, or so many have gone. How many.
local function trim(most, few)
    local gone = 0
    while gone < few and tonumber(redis.call('GET', set('size')) or '0') > most do
        local oldest = redis.call('ZRANGE', set('order'), 0, 0)[1]
        if not oldest then break end
        drop(oldest)
        gone = gone + 1
    end
    return gone
end

-- name: find
local found = redis.call('HMGET', at(ARGV[1]), 'expires', 'data')
if found[1] and tonumber(found[1]) > tonumber(ARGV[2]) then return found[2] end
return false

-- name: keep
local key, expires, data, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
drop(key)
local size = #data + OVERHEAD
redis.call('HSET', at(key), 'expires', expires, 'data', data)
redis.call('PEXPIREAT', at(key), expires + ARGV[5])
redis.call('HSET', set('sizes'), key, size)
redis.call('ZADD', set('order'), redis.call('INCR', set('number')), key)
redis.call('ZADD', set('expires'), expires, key)
redis.call('INCRBY', set('size'), size)
return trim(most, 1000)

-- name: forget
local few = tonumber(ARGV[3])
local expired = redis.call('ZRANGEBYSCORE', set('expires'), '-inf', ARGV[1], 'LIMIT', 0, few)
for _, key in ipairs(expired) do drop(key) end
return #expired + trim(tonumber(ARGV[2]), few)
