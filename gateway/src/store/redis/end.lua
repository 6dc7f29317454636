-- Ends sessions of one user. Being in the user's own set is what makes a session theirs.
-- KEYS: sessions of the user, user.
-- ARGV[3..]: now, sub, 'this' | 'others' | 'all' | 'disable', sid, access_life, cause.
-- Returns {'ended', how many}.
local sessions, user = KEYS[1], KEYS[2]
local now, sub, ending, sid, life, cause =
    tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
life = longest(life, now)

redis.call('ZREMRANGEBYSCORE', sessions, '-inf', whole(now)) -- they ended by themselves

local leaving, newest = {}, now
local function leave(one, expires_at)
    local since = math.max(now, last_issued(one))
    newest = math.max(newest, since)
    table.insert(leaving, { sid = one, expires_at = tonumber(expires_at), till = since + life })
end
if ending == 'this' then
    local expires_at = redis.call('ZSCORE', sessions, sid)
    if expires_at then
        leave(sid, expires_at)
    end
else
    local all = redis.call('ZRANGE', sessions, 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do
        if ending ~= 'others' or all[i] ~= sid then
            leave(all[i], all[i + 1])
        end
    end
end

if ending == 'all' or ending == 'disable' then
    -- UserState::next_epoch
    local state = redis.call('HMGET', user, 'epoch', 'disabled')
    local epoch = math.max(tonumber(state[1] or '0') + 1, newest)
    local disabled = ending == 'disable' and '1' or state[2] or '0'
    local matters_until = disabled == '1' and math.huge or epoch + life
    -- One entry for all of them: every token of the user has an older epoch.
    announce(life, 'kind', 'user', 'sub', sub, 'until', whole(matters_until), 'epoch', whole(epoch),
        'disabled', disabled, 'cause', cause)
    redis.call('HSET', user, 'epoch', whole(epoch), 'disabled', disabled, 'cause', cause)
    blacklist('user', sub, now, matters_until)
end

for _, one in ipairs(leaving) do
    if ending == 'this' or ending == 'others' then
        announce(life, 'kind', 'session', 'sub', sub, 'sid', one.sid, 'until', whole(one.till), 'cause', cause)
    end
    blacklist('session', one.sid, now, one.till)
    forget(one.sid, sessions, cause, now, one.expires_at)
end
return { 'ended', #leaving }
