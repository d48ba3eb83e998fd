-- KEYS: one-time value. ARGV: id of this take, how long a taken value stays at most (ms). Answers the value or nil.
-- The value remembers who took it, so that the taker may ask again after a lost answer.
local found = redis.call('HMGET', KEYS[1], 'value', 'taker')
if not found[1] or (found[2] and found[2] ~= ARGV[1]) then return false end
redis.call('HSET', KEYS[1], 'taker', ARGV[1])
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return found[1]
