-- KEYS: due times, records. ARGV: id, until (ms), sealed record, maximum length of the queue. Returns 1, or 0 if the
-- queue is full.
-- The set of due times has the record's id as a member; the hash also has `id:u` (until) and `id:n` (attempts begun).
if redis.call('HSTRLEN', KEYS[2], ARGV[1]) > 0 then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%d', now), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3], ARGV[1] .. ':u', ARGV[2], ARGV[1] .. ':n', '0')
for at = 1, 2 do
    local ttl = redis.call('PTTL', KEYS[at])
    if ttl < 0 or now + ttl < tonumber(ARGV[2]) then redis.call('PEXPIREAT', KEYS[at], ARGV[2]) end
end
return 1
