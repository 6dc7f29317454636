-- Takes several from one limit, as many as are there, for a gateway to hand out.
-- KEYS: the limit. ARGV: now, interval, window, how many are wanted.
-- Returns {'leased', how many, remaining, wait, reset}.
local now, interval, window, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
return { 'leased', lease(KEYS[1], now, interval, window, want) }
