-- KEYS: record. ARGV: last seen.
local seen = redis.call('HGET', KEYS[1], 's')
if seen and tonumber(seen) < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 's', ARGV[1])
end
return 1
