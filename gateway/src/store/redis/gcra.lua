-- The generic cell rate algorithm: the sums of Quota::take, in whole microseconds. `window` is the time in
-- which the whole burst is refilled. Returns allowed (1 or 0), remaining, wait, reset.
local function take(key, now, interval, window)
    local before = redis.call('GET', key)
    local tat = tonumber(before or now)
    -- A state further ahead than the window can only stem from a clock that stepped back.
    local start = math.min(math.max(tat, now), now + window)
    local next = start + interval
    local earliest = next - window
    local allowed = earliest <= now
    local kept = allowed and next or start
    if kept ~= tat or not before then
        -- Ten seconds more than it matters, since clocks differ.
        local left = math.ceil((kept - now) / 1000) + 10000
        redis.call('SET', key, string.format('%.0f', kept), 'PX', string.format('%.0f', left))
    end
    if not allowed then
        return 0, 0, earliest - now, start - now
    end
    return 1, math.min(math.floor((now - earliest) / interval), 4294967295), 0, next - now
end

-- Takes from each of KEYS[first..], in order until one refuses, and adds what it says to `answer`.
-- ARGV holds interval and window of each from `argument` on.
local function take_all(answer, first, argument, now)
    for i = first, #KEYS do
        local at = argument + 2 * (i - first)
        local allowed, remaining, wait, reset = take(KEYS[i], now, tonumber(ARGV[at]), tonumber(ARGV[at + 1]))
        for _, number in ipairs({ allowed, remaining, wait, reset }) do
            table.insert(answer, number)
        end
        if allowed == 0 then
            break
        end
    end
    return answer
end
