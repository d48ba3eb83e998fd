-- KEYS: index entries of one value. ARGV: age (ms), then pairs of session key and its entry as read.
-- Removes an entry only if it is unchanged and older than `age`: an entry is added before its record is written.
-- Returns the number of removed entries.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dropped = 0
for at = 2, #ARGV, 2 do
    local added = tonumber(string.match(ARGV[at + 1], '%d+$') or '0')
    if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] and now - added >= tonumber(ARGV[1]) then
        dropped = dropped + redis.call('HDEL', KEYS[1], ARGV[at])
    end
end
return dropped
