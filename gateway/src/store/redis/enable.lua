-- Enables a user again. What was ended stays ended.
-- KEYS: user. ARGV[3..]: now, sub, access_life. Returns {'enabled'}.
local user, now, sub, life = KEYS[1], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local epoch = redis.call('HGET', user, 'epoch')
if epoch then
    life = longest(life, now)
    local till = math.max(now, tonumber(epoch)) + life
    -- Announced last, and each time: nobody lets a user in whom the store does not.
    redis.call('HSET', user, 'disabled', '0')
    blacklist('user', sub, now, till)
    announce(life, 'kind', 'user', 'sub', sub, 'until', whole(till), 'epoch', epoch, 'disabled', '0')
end
return { 'enabled' }
