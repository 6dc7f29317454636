-- Spends a refresh token: what session::rotate does, step for step.
-- KEYS: session. ARGV[3..]: sid, now, generation, hash, successor, idle, absolute, retry_window, access_life, then
-- fields and values that it takes over if it is rotated.
-- Returns {'rotated' | 'replayed' | 'reused', field, value, ...} or {'ended', cause}.
local key = KEYS[1]
local sid, now, generation = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local hash, successor = ARGV[6], ARGV[7]
local idle, absolute, retry_window, life =
    tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])

local fields = redis.call('HGETALL', key)
if #fields == 0 then
    local over, cause = string.match(redis.call('GET', base .. ':ended:' .. sid) or '', '^(%d+) (.+)$')
    return { 'ended', over and now < tonumber(over) and cause or 'expired' }
end
life = longest(life, now) -- another token of the session may be about to be issued
local session = {}
for i = 1, #fields, 2 do
    session[fields[i]] = fields[i + 1]
end
local sessions = base .. ':sessions:' .. session.sub
local state = redis.call('HMGET', base .. ':user:' .. session.sub, 'epoch', 'disabled', 'cause')

local function answer(word)
    return { word, unpack(redis.call('HGETALL', key)) }
end

-- Session::standing
local absolute_end = tonumber(session.created_at) + absolute
local over
if state[2] == '1' then
    over = 'disabled'
elseif tonumber(state[1] or '0') > tonumber(session.epoch) then
    over = state[3] or 'revoked'
elseif now >= tonumber(session.expires_at) or now >= absolute_end then
    over = 'expired'
end
if over then
    forget(sid, sessions, over, now, tonumber(session.expires_at))
    return { 'ended', over }
end

local current = tonumber(session.generation)
local since = math.max(now, tonumber(session.rotated_at), tonumber(session.issued_at or '0')) -- as last_issued
if generation > current or (generation == current and hash == session.token_hash) then
    local expires_at = math.min(now + idle, absolute_end)
    redis.call('HSET', key,
        'generation', whole(math.min(generation + 1, 4294967295)),
        'token_hash', successor,
        'rotated_at', whole(now),
        'issued_at', whole(since),
        'expires_at', whole(expires_at),
        unpack(ARGV, 12))
    keep(key, now, expires_at)
    redis.call('ZADD', sessions, whole(expires_at), sid)
    keep(sessions, now, expires_at)
    return answer('rotated')
end

if generation + 1 == current and math.max(0, now - tonumber(session.rotated_at)) < retry_window then
    return answer('replayed')
end

-- RFC 9700 section 4.14.2: we cannot tell thief from owner, so nobody keeps it.
local ended = answer('reused')
local till = since + life
announce(life, 'kind', 'session', 'sub', session.sub, 'sid', sid, 'until', whole(till), 'cause', 'reused')
blacklist('session', sid, now, till)
forget(sid, sessions, 'reused', now, tonumber(session.expires_at))
return ended
