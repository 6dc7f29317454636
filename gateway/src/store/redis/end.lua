-- Ends sessions of one user. Being in the user's own set is what makes a session theirs.
-- KEYS: sessions of the user, user. ARGV[3..]: now, sub, 'this' | 'others' | 'all' | 'disable', sid, access_life.
-- Returns {'ended', how many}.
local sessions, user = KEYS[1], KEYS[2]
local now, sub, ending, sid, life = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local till = now + life

redis.call('ZREMRANGEBYSCORE', sessions, '-inf', whole(now)) -- they ended by themselves
local ended = {}
if ending == 'this' then
    if redis.call('ZSCORE', sessions, sid) then
        ended = { sid }
    end
else
    for _, one in ipairs(redis.call('ZRANGE', sessions, 0, -1)) do
        if ending ~= 'others' or one ~= sid then
            table.insert(ended, one)
        end
    end
end

for _, one in ipairs(ended) do
    redis.call('DEL', base .. ':session:' .. one)
    redis.call('ZREM', sessions, one)
    blacklist(one, now, till)
    if ending == 'this' or ending == 'others' then
        announce(life, 'kind', 'session', 'sub', sub, 'sid', one, 'until', whole(till))
    end
end

if ending == 'all' or ending == 'disable' then
    -- UserState::next_epoch
    local before = tonumber(redis.call('HGET', user, 'epoch') or '0')
    local epoch = math.max(before + 1, now)
    redis.call('HSET', user, 'epoch', whole(epoch))
    if ending == 'disable' then
        redis.call('HSET', user, 'disabled', '1')
    end
    local disabled = redis.call('HGET', user, 'disabled') or '0'
    -- One entry for all of them: every token of the user has an older epoch.
    announce(life, 'kind', 'user', 'sub', sub, 'epoch', whole(epoch), 'disabled', disabled)
end
return { 'ended', #ended }
