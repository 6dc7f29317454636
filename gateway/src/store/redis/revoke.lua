-- Blacklists one access token.
-- KEYS: the blacklist. ARGV[3..]: sub, jti, until, access_life, now. Returns {'revoked'}.
local sub, jti, ours, now = ARGV[3], ARGV[4], tonumber(ARGV[6]), tonumber(ARGV[7])
local life = longest(ours, now)
local till = for_all(tonumber(ARGV[5]), ours, life, now)
announce(life, 'kind', 'token', 'sub', sub, 'jti', jti, 'until', whole(till))
blacklist('token', jti, now, till)
return { 'revoked' }
