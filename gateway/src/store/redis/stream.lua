#!lua flags=allow-oom
-- A script that says it may write, by saying nothing else, is refused by a Redis that follows another one: what that one
-- has not heard of yet is nobody's to wait for.
--
-- How far the stream of revocations is: the id that was given out last, and how many entries there have ever been.
-- Neither changes when entries are trimmed or deleted. A stream that is not there has none; one that does not count
-- its entries (before Redis 7) can't tell a gap.
local function extent(stream)
    local info = redis.pcall('XINFO', 'STREAM', stream)
    if info.err == 'ERR no such key' then
        return '0-0', 0
    end
    if info.err then
        return nil, nil, info
    end
    local last, added
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            last = info[i + 1]
        elseif info[i] == 'entries-added' then
            added = info[i + 1]
        end
    end
    return last, added
end
