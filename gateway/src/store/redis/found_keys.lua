-- Adds a key if there is none for its purpose.
-- KEYS: the keys of the purpose. ARGV: name, the key. Returns {name, key, ...}: all there are then.
if redis.call('HLEN', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return redis.call('HGETALL', KEYS[1])
