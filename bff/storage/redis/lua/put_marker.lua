-- KEYS: marker. ARGV: at, until (ms). Keeps the latest `at` and the latest expiry.
local kept = redis.call('GET', KEYS[1])
local ttl = redis.call('PTTL', KEYS[1])
local at = ARGV[1]
if kept and tonumber(kept) > tonumber(at) then at = kept end
redis.call('SET', KEYS[1], at)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('PEXPIREAT', KEYS[1], string.format('%d', math.max(now + ttl, tonumber(ARGV[2]))))
return 1
