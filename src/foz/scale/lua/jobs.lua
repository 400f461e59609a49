-- name: prelude
-- KEYS[1] is what comes before all keys. A job is a hash; its log a list of the present epoch's pieces. Sorted sets:
-- waiting and leased (by when it is overdue), ended (by when), and by id: all, of a principal, dead.
local P = KEYS[1]
local function at(id) return P .. ':job:' .. id end
local function log_at(id) return P .. ':log:' .. id end
local function set(name) return P .. ':' .. name end
local function said(id) redis.call('PUBLISH', P .. ':said:' .. id, '') end
local function said_end(id)
    redis.call('PUBLISH', P .. ':ended', id)
    said(id)
end
local function job(id)
    return redis.call('HMGET', at(id), 'fixed', 'state', 'epoch', 'attempts', 'due', 'lane', 'began', 'ended',
        'served', 'latency', 'trouble', 'dead')
end
local function holds(id, epoch)
    local found = redis.call('HMGET', at(id), 'state', 'epoch')
    return found[1] == 'processing' and found[2] == epoch
end
-- Pieces from `first` on. What stands there already is the same, said twice. False where there would be a hole.
local function write(id, first, begin)
    if #ARGV < begin then return true end
    local key, number = log_at(id), tonumber(first)
    local length = redis.call('LLEN', key)
    if length < number then return false end
    if length > number then
        if number == 0 then redis.call('DEL', key) else redis.call('LTRIM', key, 0, number - 1) end
    end
    for place = begin, #ARGV do redis.call('RPUSH', key, ARGV[place]) end
    return true
end
local function over(id, ended, state, kept)
    redis.call('ZREM', set('waiting'), id)
    redis.call('ZREM', set('leased'), id)
    redis.call('ZADD', set('ended'), ended, id)
    if state ~= 'failed' then redis.call('HDEL', at(id), 'order') end
    redis.call('PEXPIRE', at(id), kept)
    redis.call('PEXPIRE', log_at(id), kept)
    said_end(id)
end
local function free_key(id, named)
    if named and redis.call('HGET', named, 'id') == id then redis.call('DEL', named) end
end
local function gone(id, principal)
    redis.call('DEL', at(id), log_at(id))
    for _, name in ipairs({'waiting', 'ended', 'dead', 'all'}) do redis.call('ZREM', set(name), id) end
    if principal then redis.call('ZREM', set('of:' .. principal), id) end
    said_end(id)
end
local function jobs(ids, home)
    local found = {}
    for _, id in ipairs(ids) do
        local one = job(id)
        if one[1] then found[#found + 1] = one elseif home then redis.call('ZREM', home, id) end
    end
    return found
end

-- name: add
local id, made, digest, fixed, due, lane, key, principal, order, key_ttl, overdue, kept = unpack(ARGV)
local named = P .. ':key:' .. key
local known = redis.call('HMGET', named, 'id', 'digest', 'at')
if known[1] and tonumber(known[3]) + tonumber(key_ttl) > tonumber(made) and redis.call('EXISTS', at(known[1])) == 1 then
    if known[2] ~= digest then return 'conflict' end
    if known[1] ~= id then redis.call('HSET', at(known[1]), 'shared', '1') end
    return job(known[1])
end
redis.call('HSET', named, 'id', id, 'digest', digest, 'at', made)
redis.call('PEXPIRE', named, key_ttl)
redis.call('HSET', at(id), 'fixed', fixed, 'state', 'pending', 'epoch', '0', 'attempts', '0', 'due', due, 'lane', lane,
    'named', named, 'principal', principal, 'order', order)
redis.call('ZADD', set('waiting'), overdue, id)
redis.call('ZADD', set('all'), 0, id)
redis.call('ZADD', set('of:' .. principal), 0, id)
redis.call('PEXPIRE', set('of:' .. principal), kept)
return 'new'

-- name: published
local id, now, again = unpack(ARGV)
local found = redis.call('HMGET', at(id), 'state', 'due')
local home = found[1] == 'pending' and 'waiting' or found[1] == 'processing' and 'leased'
if home and tonumber(found[2]) <= tonumber(now) then redis.call('ZADD', set(home), again, id) end

-- name: withdraw
local id = ARGV[1]
local found = redis.call('HMGET', at(id), 'state', 'epoch', 'shared', 'named', 'principal')
if found[1] ~= 'pending' or found[2] ~= '0' or found[3] then return end
free_key(id, found[4])
gone(id, found[5])

-- name: remove
local id = ARGV[1]
local found = redis.call('HMGET', at(id), 'state', 'named', 'principal')
if not found[1] or found[1] == 'pending' or found[1] == 'processing' then return end
free_key(id, found[2])
gone(id, found[3])

-- name: find
return job(ARGV[1])

-- name: told
local found = job(ARGV[1])
if found[2] == 'completed' then return {found, redis.call('LRANGE', log_at(ARGV[1]), 0, -1)} end
return {found, {}}

-- name: listed
local home, before, most = unpack(ARGV)
return jobs(redis.call('ZREVRANGEBYLEX', set(home), before, '-', 'LIMIT', 0, most))

-- name: claim
local id, now, till, nonce = unpack(ARGV)
local found = redis.call('HMGET', at(id), 'state', 'due', 'nonce')
if not found[1] then return false end
if found[3] == nonce then return {job(id), redis.call('HGET', at(id), 'order')} end
if (found[1] ~= 'pending' and found[1] ~= 'processing') or tonumber(found[2]) > tonumber(now) then return {job(id)} end
redis.call('HSET', at(id), 'state', 'processing', 'due', till, 'nonce', nonce)
redis.call('HINCRBY', at(id), 'epoch', 1)
redis.call('HINCRBY', at(id), 'attempts', 1)
redis.call('HSETNX', at(id), 'began', now)
redis.call('ZREM', set('waiting'), id)
redis.call('ZADD', set('leased'), till, id)
redis.call('DEL', log_at(id))
said(id)
return {job(id), redis.call('HGET', at(id), 'order')}

-- name: renew
local lost, till = {}, ARGV[1]
for place = 2, #ARGV, 2 do
    local id = ARGV[place]
    if not holds(id, ARGV[place + 1]) then
        lost[#lost + 1] = id
    elseif tonumber(redis.call('HGET', at(id), 'due')) < tonumber(till) then
        redis.call('HSET', at(id), 'due', till)
        redis.call('ZADD', set('leased'), till, id)
    end
end
return lost

-- name: append
local id, epoch, first = unpack(ARGV, 1, 3)
if not holds(id, epoch) or not write(id, first, 4) then return 0 end
if #ARGV > 3 then said(id) end
return 1

-- name: end
local id, epoch, state, ended, served, latency, trouble, dead, first, kept, nonce = unpack(ARGV, 1, 11)
if redis.call('HGET', at(id), 'nonce') == nonce then return 1 end
if not holds(id, epoch) or not write(id, first, 12) then return 0 end
redis.call('HSET', at(id), 'state', state, 'ended', ended, 'served', served, 'latency', latency, 'trouble', trouble,
    'dead', dead, 'nonce', nonce)
if dead == '1' then redis.call('ZADD', set('dead'), 0, id) end
over(id, ended, state, kept)
return 1

-- name: put_back
local id, epoch, lane, due, taken, nonce = unpack(ARGV)
if redis.call('HGET', at(id), 'nonce') == nonce then return 1 end
if not holds(id, epoch) then return 0 end
redis.call('HSET', at(id), 'state', 'pending', 'lane', lane, 'due', due, 'nonce', nonce)
redis.call('HINCRBY', at(id), 'attempts', taken)
redis.call('ZREM', set('leased'), id)
redis.call('ZADD', set('waiting'), due, id)
said(id)
return 1

-- name: cancel
local id, now, kept = unpack(ARGV)
local state = redis.call('HGET', at(id), 'state')
if state == 'pending' or state == 'processing' then
    redis.call('HSET', at(id), 'state', 'cancelled', 'ended', now)
    over(id, now, 'cancelled', kept)
end
return job(id)

-- name: revive
local id, now = unpack(ARGV)
if redis.call('HGET', at(id), 'state') == 'failed' then
    redis.call('HSET', at(id), 'state', 'pending', 'due', now, 'attempts', '0')
    redis.call('HDEL', at(id), 'ended', 'served', 'latency', 'trouble', 'dead')
    redis.call('PERSIST', at(id))
    redis.call('PERSIST', log_at(id))
    redis.call('ZREM', set('ended'), id)
    redis.call('ZREM', set('dead'), id)
    redis.call('ZADD', set('waiting'), now, id)
    said(id)
end
return job(id)

-- name: log
local id, epoch, after, most, size = unpack(ARGV)
local present = redis.call('HGET', at(id), 'epoch')
if not present then return false end
local start = 0
if present == epoch then start = tonumber(after) + 1 end
local pieces, total = {}, 0
for _, piece in ipairs(redis.call('LRANGE', log_at(id), start, start + tonumber(most) - 1)) do
    if total >= tonumber(size) then break end
    pieces[#pieces + 1] = piece
    total = total + #piece
end
return {present, start, pieces}

-- name: answer
return redis.call('LRANGE', log_at(ARGV[1]), 0, -1)

-- name: standing
local found = redis.call('HMGET', at(ARGV[1]), 'state', 'epoch')
return {found[1], found[2], redis.call('LLEN', log_at(ARGV[1]))}

-- name: overdue
local now, most = unpack(ARGV)
local found = {}
for place, name in ipairs({'waiting', 'leased'}) do
    found[place] = jobs(redis.call('ZRANGEBYSCORE', set(name), '-inf', now, 'LIMIT', 0, most), set(name))
end
return found

-- name: forget
local before, most = unpack(ARGV)
local ids = redis.call('ZRANGEBYSCORE', set('ended'), '-inf', before, 'LIMIT', 0, most)
for _, id in ipairs(ids) do
    gone(id, redis.call('HGET', at(id), 'principal'))
end
return #ids
