-- Keeps a new session, unless its user is disabled or has all the sessions they may have.
-- KEYS: session, user, sessions of the user.
-- ARGV[3..]: now, sub, sid, expires_at, access_life, most (0: any number), 'evict' | 'refuse', then fields and
-- values.
-- Returns {'opened', epoch, how many were evicted}, {'disabled'} or {'full'}.
local session, user, sessions = KEYS[1], KEYS[2], KEYS[3]
local now, sub, sid, expires_at, life, most, when_full =
    tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]

-- In the same step as the session, so that no "log out everywhere" falls between.
local state = redis.call('HMGET', user, 'epoch', 'disabled')
if state[2] == '1' then
    return { 'disabled' }
end
local epoch = state[1] or '0'
life = longest(life, now) -- the session's first token is about to be issued

redis.call('ZREMRANGEBYSCORE', sessions, '-inf', whole(now)) -- they ended by themselves

-- Cap::make_room
local too_many = most > 0 and math.max(0, redis.call('ZCARD', sessions) + 1 - most) or 0
if too_many > 0 then
    if when_full == 'refuse' then
        return { 'full' }
    end
    local live = redis.call('ZRANGE', sessions, 0, -1, 'WITHSCORES')
    local oldest = {}
    for i = 1, #live, 2 do
        local rotated_at = redis.call('HGET', base .. ':session:' .. live[i], 'rotated_at')
        table.insert(oldest, { sid = live[i], rotated_at = tonumber(rotated_at or '0'), place = i })
    end
    table.sort(oldest, function(one, other)
        if one.rotated_at ~= other.rotated_at then
            return one.rotated_at < other.rotated_at
        end
        return one.place < other.place -- the set is in order of expiry
    end)
    for i = 1, too_many do
        local one = oldest[i]
        local till = math.max(now, last_issued(one.sid)) + life
        announce(life, 'kind', 'session', 'sub', sub, 'sid', one.sid, 'until', whole(till), 'cause', 'evicted')
        blacklist('session', one.sid, now, till)
        forget(one.sid, sessions, 'evicted', now, tonumber(live[one.place + 1]))
    end
end

redis.call('HSET', session, 'epoch', epoch, unpack(ARGV, 10))
keep(session, now, expires_at)
redis.call('ZADD', sessions, whole(expires_at), sid)
keep(sessions, now, expires_at)
return { 'opened', epoch, too_many }
