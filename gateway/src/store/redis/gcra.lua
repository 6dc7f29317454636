#!lua flags=allow-oom
-- Refused, like whatever may write, by a Redis that follows another one: that one may know more.
--
-- The generic cell rate algorithm: the sums of Quota::lease, in whole microseconds. `window` is the time in
-- which the whole burst is refilled. Takes as many of `want` as are there: how many, remaining, wait, reset.
local function lease(key, now, interval, window, want)
    local before = redis.call('GET', key)
    local tat = tonumber(before or now)
    local start = math.max(tat, now)
    -- So far ahead is only what a clock left that stepped back since; clocks differ by less.
    if tat > now + window + 10000000 then
        start = now + window
    end
    local room = math.max(0, math.floor((now + window - start) / interval))
    local granted = math.min(want, room)
    local kept = start + granted * interval
    if kept ~= tat or not before then
        -- Ten seconds more than it matters, since clocks differ.
        local left = math.ceil((kept - now) / 1000) + 10000
        redis.call('SET', key, string.format('%.0f', kept), 'PX', string.format('%.0f', left))
    end
    local wait = granted < want and kept + interval - window - now or 0
    return granted, room - granted, wait, kept - now
end

-- Takes one from each of KEYS[first..], in order until one refuses, and adds what it says to `answer`.
-- ARGV holds interval and window of each from `argument` on.
local function take_all(answer, first, argument, now)
    for i = first, #KEYS do
        local at = argument + 2 * (i - first)
        local allowed, remaining, wait, reset = lease(KEYS[i], now, tonumber(ARGV[at]), tonumber(ARGV[at + 1]), 1)
        for _, number in ipairs({ allowed, remaining, wait, reset }) do
            table.insert(answer, number)
        end
        if allowed == 0 then
            break
        end
    end
    return answer
end
