-- KEYS: due times, records, turns. ARGV: maximum length of the queue, then for each entry its id, until (ms), delay (ms)
-- and sealed record. Returns how many were added, or were there; fewer than all if the queue is full then.
-- The sets of due times and of turns have the record's id as a member; the turns are the due times of those that were
-- never attempted. The hash also has `id:u` (until) and `id:n` (attempts begun).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local added, latest = 0, 0
for at = 2, #ARGV, 4 do
    local id = ARGV[at]
    if redis.call('HSTRLEN', KEYS[2], id) == 0 then
        if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then break end
        local due = string.format('%d', now + tonumber(ARGV[at + 2]))
        redis.call('ZADD', KEYS[1], due, id)
        redis.call('ZADD', KEYS[3], due, id)
        redis.call('HSET', KEYS[2], id, ARGV[at + 3], id .. ':u', ARGV[at + 1], id .. ':n', '0')
        latest = math.max(latest, tonumber(ARGV[at + 1]))
    end
    added = added + 1
end
for at = 1, 3 do
    local ttl = redis.call('PTTL', KEYS[at])
    if ttl < 0 or now + ttl < latest then redis.call('PEXPIREAT', KEYS[at], string.format('%d', latest)) end
end
return added
