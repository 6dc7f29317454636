#!lua flags=allow-oom
-- A script that says it may write, by saying nothing else, is refused by a Redis that follows another one: what that one
-- has not heard of yet is nobody's to wait for.
--
-- How far the revocations are: {last id, entries ever added, history, whether anything is listed, seconds since 1970}.
-- The id that was given out last and the number of entries stay what they are when entries are trimmed or deleted; a
-- stream that is not there has none. The history has another name since this server was told to follow nobody any more,
-- however far it is. A stream that does not count its entries (before Redis 7) can't tell a gap: nil, and an answer.
local function extent(stream, list)
    local last, added = '0-0', 0
    local info = redis.pcall('XINFO', 'STREAM', stream)
    if info.err and info.err ~= 'ERR no such key' then
        return nil, info
    end
    if not info.err then
        added = nil
    end
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            last = info[i + 1]
        elseif info[i] == 'entries-added' then
            added = info[i + 1]
        end
    end
    local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    if not added or not history then
        return nil, { 'uncounted' }
    end
    return { last, added, history, redis.call('EXISTS', list), redis.call('TIME')[1] }
end
