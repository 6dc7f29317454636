-- What was revoked since: the entries of the stream after an id.
-- KEYS: the stream. ARGV: the id, how many at most.
-- Returns {'changes', last id, entries ever added, {{id, {field, value, ...}}, ...}} or {'uncounted'}.
local last, added, failure = extent(KEYS[1])
if not added then
    return failure or { 'uncounted' }
end
return { 'changes', last, added, redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) }
