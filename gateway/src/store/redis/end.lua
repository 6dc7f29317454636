-- Ends sessions of one user. Being in the user's own set is what makes a session theirs.
-- KEYS: sessions of the user, user.
-- ARGV[3..]: now, sub, 'this' | 'others' | 'all' | 'disable', sid, access_life, cause.
-- Returns {'ended', how many}.
local sessions, user = KEYS[1], KEYS[2]
local now, sub, ending, sid, life, cause =
    tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local till = now + life

redis.call('ZREMRANGEBYSCORE', sessions, '-inf', whole(now)) -- they ended by themselves
local ended = 0
local function finish(one, expires_at)
    forget(one, sessions, cause, now, tonumber(expires_at))
    blacklist('session', one, now, till)
    if ending == 'this' or ending == 'others' then
        announce(life, 'kind', 'session', 'sub', sub, 'sid', one, 'until', whole(till), 'cause', cause)
    end
    ended = ended + 1
end

if ending == 'this' then
    local expires_at = redis.call('ZSCORE', sessions, sid)
    if expires_at then
        finish(sid, expires_at)
    end
else
    local all = redis.call('ZRANGE', sessions, 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do
        if ending ~= 'others' or all[i] ~= sid then
            finish(all[i], all[i + 1])
        end
    end
end

if ending == 'all' or ending == 'disable' then
    -- UserState::next_epoch
    local before = tonumber(redis.call('HGET', user, 'epoch') or '0')
    local epoch = math.max(before + 1, now)
    redis.call('HSET', user, 'epoch', whole(epoch), 'cause', cause)
    if ending == 'disable' then
        redis.call('HSET', user, 'disabled', '1')
    end
    local disabled = redis.call('HGET', user, 'disabled') or '0'
    blacklist('user', sub, now, disabled == '1' and math.huge or till)
    -- One entry for all of them: every token of the user has an older epoch.
    announce(life, 'kind', 'user', 'sub', sub, 'epoch', whole(epoch), 'disabled', disabled, 'cause', cause)
end
return { 'ended', ended }
