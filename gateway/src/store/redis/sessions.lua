-- The live sessions of one user.
-- KEYS: sessions of the user. ARGV: what all keys of the partition begin with, now.
-- Returns {{sid, field, value, ...}, ...}.
local sessions, base, now = KEYS[1], ARGV[1], ARGV[2]
redis.call('ZREMRANGEBYSCORE', sessions, '-inf', now)
local found = {}
for _, sid in ipairs(redis.call('ZRANGE', sessions, 0, -1)) do
    local fields = redis.call('HGETALL', base .. ':session:' .. sid)
    if #fields > 0 then
        table.insert(found, { sid, unpack(fields) })
    end
end
return found
