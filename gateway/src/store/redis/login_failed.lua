-- Counts a failed login: the sums of Backoff::delay.
-- KEYS: the failures. ARGV: now, free, first, longest, forget. Returns {'failed', wait}.
local key = KEYS[1]
local now, free, first, longest, forget =
    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local before = redis.call('HMGET', key, 'failures', 'failed_at')
local failures = 0
if before[1] and math.max(0, now - tonumber(before[2])) < forget then
    failures = tonumber(before[1])
end
failures = math.min(failures + 1, 4294967295)

local wait = 0
if failures > free then
    local doublings = failures - free - 1
    wait = math.min(first * (doublings < 32 and 2 ^ doublings or 4294967295), longest)
end

redis.call('HSET', key,
    'failures', string.format('%.0f', failures),
    'failed_at', string.format('%.0f', now),
    'wait', string.format('%.0f', wait))
-- A minute more than it matters, since clocks differ.
redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(math.max(forget, wait) / 1000) + 60000))
return { 'failed', wait }
