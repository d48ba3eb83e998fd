-- KEYS: record, then its index entries, if they are on the same server. ARGV: version, write id, record, index digest,
-- session key, expiry of the entries (ms). Returns 1, or 0 if the record is another one now.
-- The content is the same, sealed under another key, so version and write id stay.
local stored = redis.call('HMGET', KEYS[1], 'v', 'w')
if stored[1] ~= ARGV[1] or stored[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 2, #KEYS do
    redis.call('HSET', KEYS[at], ARGV[5], ARGV[6] .. ':' .. string.format('%d', now))
    local ttl = redis.call('PTTL', KEYS[at])
    if ttl < 0 or now + ttl < tonumber(ARGV[6]) then redis.call('PEXPIREAT', KEYS[at], ARGV[6]) end
end
redis.call('HSET', KEYS[1], 'r', ARGV[3], 'x', ARGV[4])
return 1
