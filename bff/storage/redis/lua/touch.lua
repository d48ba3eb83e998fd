-- KEYS: record. ARGV: last seen.
local last_seen = redis.call('HGET', KEYS[1], 's')
if last_seen and tonumber(last_seen) < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 's', ARGV[1])
end
return 1
