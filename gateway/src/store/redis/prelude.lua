-- Begins every script that changes a session or a user.
--
-- ARGV[1] is what all keys of the partition begin with. Keys that a script finds only on its way (the user
-- of a session) are built from it: they have the same hash tag as KEYS[1], hence the same place.
-- ARGV[2] is the deadline, by this server's own clock: whoever asked has been told "unavailable" by then
-- and may be trying again, so nothing may happen any more.
-- All moments and spans are microseconds; a Lua number holds them exactly.
local base, deadline = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
if clock > deadline then
    return { 'too_late' }
end

-- Keys only go away to free memory; whether something is over is decided by the moments stored in it and
-- the caller's clock. The margin (ten minutes) is more than clocks differ.
local MARGIN = 600000

-- A whole number as text; tostring() would write 1.7e+15.
local function whole(number)
    return string.format('%.0f', number)
end

-- Makes `key` go away some time after `moment`, but not sooner than it would have.
local function keep(key, now, moment)
    local left = math.max(0, math.ceil((moment - now) / 1000)) + MARGIN
    if redis.call('PTTL', key) < left then
        redis.call('PEXPIRE', key, whole(left))
    end
end

-- All that is revoked: 'token:<jti>', 'session:<sid>' and 'user:<sub>' by the moment from which on it matters no
-- more, `math.huge` for a user who is disabled.
local list = base .. ':blacklist'

-- Lists `name` until `till`. A later end stands, but for users, of whom only the last word counts. What was over long
-- ago, by both clocks, goes: more at once than a write adds as a rule.
local function blacklist(kind, name, now, till)
    if kind == 'user' then
        redis.call('ZADD', list, whole(till), 'user:' .. name)
    else
        redis.call('ZADD', list, 'GT', whole(till), kind .. ':' .. name)
    end
    local long_ago = whole(math.min(now, clock) - MARGIN * 1000)
    local over = redis.call('ZRANGE', list, '-inf', long_ago, 'BYSCORE', 'LIMIT', 0, 100)
    if #over > 0 then
        redis.call('ZREM', list, unpack(over))
    end
end

-- Removes a session and notes why, for whoever comes with a refresh token of it before it had ended by itself.
local function forget(sid, sessions, cause, now, expires_at)
    redis.call('DEL', base .. ':session:' .. sid)
    redis.call('ZREM', sessions, sid)
    local key = base .. ':ended:' .. sid
    redis.call('SET', key, whole(expires_at) .. ' ' .. cause)
    keep(key, now, expires_at)
end

-- Tells every gateway. Entries older than `life` concern no token that is still accepted.
local function announce(life, ...)
    local oldest = math.max(0, math.floor((clock - life) / 1000) - MARGIN)
    redis.call('XADD', base .. ':revocations', 'MINID', '~', whole(oldest), '*', ...)
end
