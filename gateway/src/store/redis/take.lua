-- Takes one from each limit, in order until one refuses.
-- KEYS: the limits. ARGV: now, then interval and window of each.
-- Returns {'taken', then for each limit that was asked: allowed, remaining, wait, reset}.
return take_all({ 'taken' }, 1, 2, tonumber(ARGV[1]))
