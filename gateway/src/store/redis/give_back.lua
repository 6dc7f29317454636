-- Takes back what a gateway leased and did not hand out. A count that is gone had all of it back already.
-- KEYS: the limit. ARGV: base, deadline, the time in which what is given back is refilled.
local tat = redis.call('GET', KEYS[1])
if tat then
    redis.call('SET', KEYS[1], whole(tonumber(tat) - tonumber(ARGV[3])), 'KEEPTTL')
end
return { 'given_back' }
