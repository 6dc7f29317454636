-- Enables a user again. What was ended stays ended.
-- KEYS: user. ARGV[3..]: now, sub, access_life. Returns {'enabled'}.
local user, now, sub, life = KEYS[1], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', user, 'disabled') == '1' then
    redis.call('HSET', user, 'disabled', '0')
    blacklist('user', sub, now, now + life)
    announce(life, 'kind', 'user', 'sub', sub, 'epoch', redis.call('HGET', user, 'epoch') or '0', 'disabled', '0')
end
return { 'enabled' }
