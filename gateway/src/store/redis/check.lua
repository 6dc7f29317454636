-- Whether an access token stands, and then its user's limits: one round trip for one request.
-- KEYS: blacklist entry of the token, of its session, user, then the limits.
-- ARGV: now, epoch of the token, then interval and window of each limit.
-- Returns {'revoked'} or {'good', then for each limit that was asked: allowed, remaining, wait, reset}.
local now, epoch = tonumber(ARGV[1]), tonumber(ARGV[2])
for _, till in ipairs({ redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or '' }) do
    if till ~= '' and tonumber(till) > now then
        return { 'revoked' }
    end
end
local state = redis.call('HMGET', KEYS[3], 'epoch', 'disabled')
if state[2] == '1' or tonumber(state[1] or '0') > epoch then
    return { 'revoked' }
end
return take_all({ 'good' }, 4, 3, now)
