-- A part of all that is revoked. What is on the list from the first part to the last is in one of them.
-- KEYS: the stream, the blacklist. ARGV: what all keys of the partition begin with, where to go on, how many about.
-- Returns {'snapshot', how far they are, where to go on or 0, then for each: entry, until} or {'uncounted'}; a user has
-- epoch and disabled in place of until.
local far, failure = extent(KEYS[1], KEYS[2])
if not far then
    return failure
end
local scanned = redis.call('ZSCAN', KEYS[2], ARGV[2], 'COUNT', ARGV[3])
local answer, found = { 'snapshot', far, scanned[1] }, scanned[2]
for i = 1, #found, 2 do
    table.insert(answer, found[i])
    local sub = string.match(found[i], '^user:(.+)$')
    if sub then
        local state = redis.call('HMGET', ARGV[1] .. ':user:' .. sub, 'epoch', 'disabled')
        table.insert(answer, state[1] or '0')
        table.insert(answer, state[2] or '0')
    else
        table.insert(answer, string.format('%.0f', tonumber(found[i + 1])))
    end
end
return answer
