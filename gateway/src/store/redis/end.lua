-- Ends sessions of one user. Being in the user's own set is what makes a session theirs.
-- KEYS: sessions of the user, user.
-- ARGV[3..]: now, sub, 'this' | 'others' | 'all' | 'disable', sid, access_life, cause.
-- Returns {'ended', how many}.
local sessions, user = KEYS[1], KEYS[2]
local now, sub, ending, sid, life, cause =
    tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
life = longest(life, now)
local till = now + life

redis.call('ZREMRANGEBYSCORE', sessions, '-inf', whole(now)) -- they ended by themselves
local ended = 0
local function finish(one, expires_at)
    if ending == 'this' or ending == 'others' then
        announce(life, 'kind', 'session', 'sub', sub, 'sid', one, 'until', whole(till), 'cause', cause)
    end
    blacklist('session', one, now, till)
    forget(one, sessions, cause, now, tonumber(expires_at))
    ended = ended + 1
end

if ending == 'all' or ending == 'disable' then
    -- UserState::next_epoch
    local state = redis.call('HMGET', user, 'epoch', 'disabled')
    local epoch = whole(math.max(tonumber(state[1] or '0') + 1, now))
    local disabled = ending == 'disable' and '1' or state[2] or '0'
    local matters_until = disabled == '1' and math.huge or till
    -- One entry for all of them: every token of the user has an older epoch.
    announce(life, 'kind', 'user', 'sub', sub, 'until', whole(matters_until), 'epoch', epoch, 'disabled', disabled,
        'cause', cause)
    redis.call('HSET', user, 'epoch', epoch, 'disabled', disabled, 'cause', cause)
    blacklist('user', sub, now, matters_until)
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
return { 'ended', ended }
