-- KEYS: end marker. ARGV: id of this take, how long a taken marker stays (ms). Answers the reason or nil.
-- The marker remembers who took it, so that the taker may ask again after a lost answer.
local found = redis.call('HMGET', KEYS[1], 'reason', 'taker')
if not found[1] or (found[2] and found[2] ~= ARGV[1]) then return false end
redis.call('HSET', KEYS[1], 'taker', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return found[1]
