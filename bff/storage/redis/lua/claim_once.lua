-- KEYS: claim. ARGV: id of this claim, until (ms). Returns 1 for the first caller, and again when that
-- caller repeats the claim.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return 1
