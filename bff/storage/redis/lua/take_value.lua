-- KEYS: one-time value. ARGV: id of this call, maximum TTL once taken (ms). Returns the value or nil.
-- The taker's id is stored, so that it may repeat the call after a lost reply.
local stored = redis.call('HMGET', KEYS[1], 'value', 'taker')
if not stored[1] or (stored[2] and stored[2] ~= ARGV[1]) then return false end
redis.call('HSET', KEYS[1], 'taker', ARGV[1])
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return stored[1]
