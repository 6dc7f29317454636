-- Tells this Redis what it may have lost: nothing happens to what it knows.
-- KEYS: the blacklist. ARGV[3..]: now, access_life, then for each: kind, name, until or epoch, disabled (of a user).
-- Returns {'restored', then for each user: sub, epoch, disabled}.
local now, ours = tonumber(ARGV[3]), tonumber(ARGV[4])
local life = longest(ours, now)

local function list_user(sub, epoch, disabled, till)
    announce(life, 'kind', 'user', 'sub', sub, 'until', whole(till), 'epoch', epoch, 'disabled', disabled)
    blacklist('user', sub, now, till)
end

-- Until when it matters what a user's state is.
local function matters_until(epoch, disabled)
    return disabled == '1' and math.huge or tonumber(epoch) + life
end

-- Sessions of before an epoch are void: they are neither listed nor counted any more.
local function end_older(sub, epoch, cause)
    local sessions = base .. ':sessions:' .. sub
    local all = redis.call('ZRANGE', sessions, 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do
        if tonumber(redis.call('HGET', base .. ':session:' .. all[i], 'epoch') or '0') < epoch then
            forget(all[i], sessions, cause, now, tonumber(all[i + 1]))
        end
    end
end

local function restore_user(sub, epoch, disabled)
    local key = base .. ':user:' .. sub
    local state = redis.call('HMGET', key, 'epoch', 'disabled', 'cause')
    local theirs, is_disabled = state[1] or '0', state[2] or '0'
    if tonumber(theirs) >= tonumber(epoch) then
        -- The list may be gone and they not, and who reads it must hear of them; but not of what is over by all clocks.
        local till = matters_until(theirs, is_disabled)
        if till > now - MARGIN * 1000 and not redis.call('ZSCORE', list, 'user:' .. sub) then
            list_user(sub, theirs, is_disabled, till)
        end
        return theirs, is_disabled
    end
    disabled = is_disabled == '1' and '1' or disabled -- whoever disabled them since is not undone
    list_user(sub, epoch, disabled, matters_until(epoch, disabled))
    local cause = state[3] or (disabled == '1' and 'disabled' or 'revoked')
    end_older(sub, tonumber(epoch), cause)
    -- Last, since of an epoch that is no news everything is taken to be done.
    redis.call('HSET', key, 'epoch', epoch, 'disabled', disabled, 'cause', cause)
    return epoch, disabled
end

-- A session that came back goes again.
local function end_session(sid)
    local session = redis.call('HMGET', base .. ':session:' .. sid, 'sub', 'expires_at')
    if session[1] then
        forget(sid, base .. ':sessions:' .. session[1], 'revoked', now, tonumber(session[2]))
    end
end

local answer = { 'restored' }
for i = 5, #ARGV, 4 do
    local kind, name, number, disabled = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    if kind == 'user' then
        local epoch, is_disabled = restore_user(name, number, disabled)
        table.insert(answer, name)
        table.insert(answer, epoch)
        table.insert(answer, is_disabled)
    else
        local listed = redis.call('ZSCORE', list, kind .. ':' .. name)
        if not listed or tonumber(listed) < tonumber(number) then
            -- A session that was ended here alone is known for no longer than tokens live here.
            local till = tonumber(number)
            if kind == 'session' then
                till = math.max(for_all(till, ours, life, now), last_issued(name) + life)
            end
            announce(life, 'kind', kind, kind == 'session' and 'sid' or 'jti', name, 'until', whole(till))
            if kind == 'session' then
                end_session(name)
            end
            blacklist(kind, name, now, till) -- last, since what is listed is passed over the next time
        end
    end
end
return answer
