-- Enables a user again. What was ended stays ended.
-- KEYS: user. ARGV[3..]: sub, access_life. Returns {'enabled'}.
local user, sub, life = KEYS[1], ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', user, 'disabled') == '1' then
    redis.call('HSET', user, 'disabled', '0')
    announce(life, 'kind', 'user', 'sub', sub, 'epoch', redis.call('HGET', user, 'epoch') or '0', 'disabled', '0')
end
return { 'enabled' }
