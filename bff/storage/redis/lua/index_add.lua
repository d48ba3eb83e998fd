-- KEYS: index entries of one value. ARGV: session key, expiry (ms). Each entry is `expiry:added`, both in ms.
-- Expired entries are removed now and then, so that the list of a frequent user stays short.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(ARGV[2]) <= now then return 1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. string.format('%d', now))
if redis.call('HLEN', KEYS[1]) % 32 == 0 then
    local entries = redis.call('HGETALL', KEYS[1])
    for at = 1, #entries, 2 do
        if tonumber(string.match(entries[at + 1], '^%d+')) <= now then redis.call('HDEL', KEYS[1], entries[at]) end
    end
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl < 0 or now + ttl < tonumber(ARGV[2]) then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
return 1
