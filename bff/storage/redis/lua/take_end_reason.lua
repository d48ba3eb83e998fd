-- KEYS: end reason. ARGV: id of this call, or 'shown'; TTL once taken (ms). Returns the reason or nil.
-- The taker's id is stored, so that it may repeat the call after a lost reply. What was only shown may be taken.
local stored = redis.call('HMGET', KEYS[1], 'reason', 'taker')
if not stored[1] or (stored[2] and stored[2] ~= ARGV[1] and stored[2] ~= 'shown') then return false end
if stored[2] ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'taker', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return stored[1]
