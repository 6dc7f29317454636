-- Whether an access token stands, and then its user's limits: one round trip for one request.
-- KEYS: the blacklist, user, then the limits.
-- ARGV: now, epoch of the token, entries of the token and of its session, then interval and window of each limit.
-- Returns {'revoked'} or {'good', then for each limit that was asked: allowed, remaining, wait, reset}.
local now, epoch = tonumber(ARGV[1]), tonumber(ARGV[2])
for _, till in ipairs(redis.call('ZMSCORE', KEYS[1], ARGV[3], ARGV[4])) do
    if till and tonumber(till) > now then
        return { 'revoked' }
    end
end
local state = redis.call('HMGET', KEYS[2], 'epoch', 'disabled')
if state[2] == '1' or tonumber(state[1] or '0') > epoch then
    return { 'revoked' }
end
return take_all({ 'good' }, 3, 5, now)
