#!lua flags=allow-oom
-- Refused, like whatever may write, by a Redis that follows another one: that one may know more.
--
-- Which of many tokens still stand: for each what check.lua decides.
-- KEYS: the blacklist, then the user of each.
-- ARGV: now, then the epoch of each token, then the entries of each token and of its session.
-- Returns {'standing', then 1 or 0 for each}.
local now, count = tonumber(ARGV[1]), #KEYS - 1
local entries = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 2 + count))

local function listed(entry)
    return entry and tonumber(entry) > now
end

local answer = { 'standing' }
for i = 1, count do
    local state = redis.call('HMGET', KEYS[1 + i], 'epoch', 'disabled')
    local revoked = listed(entries[2 * i - 1])
        or listed(entries[2 * i])
        or state[2] == '1'
        or tonumber(state[1] or '0') > tonumber(ARGV[1 + i])
    answer[i + 1] = revoked and 0 or 1
end
return answer
