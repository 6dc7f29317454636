-- Blacklists one access token.
-- KEYS: the blacklist. ARGV[3..]: sub, jti, until, now. Returns {'revoked'}.
local sub, jti, till, now = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
blacklist('token', jti, now, till)
-- How long other entries matter is not known here, so only their number is bounded.
redis.call('XADD', base .. ':revocations', 'MAXLEN', '~', '1000000', '*',
    'kind', 'token', 'sub', sub, 'jti', jti, 'until', whole(till))
return { 'revoked' }
