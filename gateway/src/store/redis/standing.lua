-- Which of many tokens still stand: for each what check.lua decides.
-- KEYS: blacklist entries of each token and of its session, then the user of each.
-- ARGV: now, then the epoch of each token. Returns {'standing', then 1 or 0 for each}.
local now, count = tonumber(ARGV[1]), #ARGV - 1
local entries = redis.call('MGET', unpack(KEYS, 1, 2 * count))

local function listed(entry)
    return entry and tonumber(entry) > now
end

local answer = { 'standing' }
for i = 1, count do
    local state = redis.call('HMGET', KEYS[2 * count + i], 'epoch', 'disabled')
    local revoked = listed(entries[2 * i - 1])
        or listed(entries[2 * i])
        or state[2] == '1'
        or tonumber(state[1] or '0') > tonumber(ARGV[1 + i])
    answer[i + 1] = revoked and 0 or 1
end
return answer
