-- Keeps a new session, unless its user is disabled.
-- KEYS: session, user, sessions of the user. ARGV[3..]: now, sid, expires_at, then fields and values.
-- Returns {'opened', epoch} or {'disabled'}.
local session, user, sessions = KEYS[1], KEYS[2], KEYS[3]
local now, sid, expires_at = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

-- In the same step as the session, so that no "log out everywhere" falls between.
local state = redis.call('HMGET', user, 'epoch', 'disabled')
if state[2] == '1' then
    return { 'disabled' }
end
local epoch = state[1] or '0'

redis.call('HSET', session, 'epoch', epoch, unpack(ARGV, 6))
keep(session, now, expires_at)
redis.call('ZREMRANGEBYSCORE', sessions, '-inf', whole(now))
redis.call('ZADD', sessions, whole(expires_at), sid)
keep(sessions, now, expires_at)
return { 'opened', epoch }
