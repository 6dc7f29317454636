-- Begins every script that changes a session or a user, below the line that says whether a full Redis runs it.
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

-- How long gateways accept access tokens: each such life, by the moment until which it counts.
local lives = base .. ':lives'

-- Notes that whoever asks accepts tokens for `life`, and returns the longest for which anybody does: what is revoked is
-- remembered for so long. One counts until every token of its time has ended, and for the margin, within which gateways
-- say it again.
local function longest(life, now)
    local counts_until = now + life + MARGIN * 1000
    redis.call('ZADD', lives, 'GT', whole(counts_until), whole(life))
    keep(lives, now, counts_until)
    redis.call('ZREMRANGEBYSCORE', lives, '-inf', whole(math.min(now, clock) - MARGIN * 1000))
    for _, other in ipairs(redis.call('ZRANGE', lives, '(' .. whole(now), '+inf', 'BYSCORE')) do
        life = math.max(life, tonumber(other))
    end
    return life
end

-- When the newest token of a session was issued, by whatever clock; zero if there is no such session. Whoever ends it
-- may have a clock that is behind: what is revoked is remembered from this moment on, or from `now` if that is later.
local function last_issued(sid)
    local moments = redis.call('HMGET', base .. ':session:' .. sid, 'rotated_at', 'issued_at')
    return math.max(tonumber(moments[1] or '0'), tonumber(moments[2] or '0'))
end

-- Until when all must remember what one gateway, for which tokens live for `ours`, refuses for its age from `till` on.
local function for_all(till, ours, life, now)
    return life > ours and math.max(till, now + life) or till
end

-- What a script does when it revokes comes in this order: everybody is told (`announce`), then it is listed
-- (`blacklist`), and then it is taken away (`forget`). Redis undoes nothing when a script fails on its way, as where an
-- ACL refuses a command: so nothing was revoked that nobody is told of, and whoever tries again finds it to be done.

-- Removes a session and notes why, for whoever comes with a refresh token of it before it had ended by itself.
local function forget(sid, sessions, cause, now, expires_at)
    local key = base .. ':ended:' .. sid
    redis.call('SET', key, whole(expires_at) .. ' ' .. cause)
    keep(key, now, expires_at)
    redis.call('DEL', base .. ':session:' .. sid)
    redis.call('ZREM', sessions, sid)
end

-- Tells every gateway. Entries older than `life` concern no token that is still accepted.
local function announce(life, ...)
    local oldest = math.max(0, math.floor((clock - life) / 1000) - MARGIN)
    redis.call('XADD', base .. ':revocations', 'MINID', '~', whole(oldest), '*', ...)
end
