-- What was revoked since: the entries of the stream after an id.
-- KEYS: the stream, the blacklist. ARGV: the id, how many at most.
-- Returns {'changes', how far they are, {{id, {field, value, ...}}, ...}} or {'uncounted'}.
local far, failure = extent(KEYS[1], KEYS[2])
if not far then
    return failure
end
return { 'changes', far, redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) }
