-- KEYS: record, its deleted copy, its end reason. ARGV: id of this delete, reason, expected version or '', TTL of the
-- end reason (ms), TTL of the copy (ms). Returns {version, record} or nil. With the copy a repeated delete returns what the
-- first one deleted.
local copy = redis.call('HMGET', KEYS[2], 'o', 'v', 'r')
if copy[1] == ARGV[1] then
    redis.call('HSET', KEYS[2], 'o', ARGV[1])
    return {copy[2], copy[3]}
end
local stored = redis.call('HMGET', KEYS[1], 'v', 'r')
if not stored[1] or (ARGV[3] ~= '' and stored[1] ~= ARGV[3]) then return false end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], 'o', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], 'reason', ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {stored[1], stored[2]}
