-- KEYS: record, its deleted copy, its end marker. ARGV: id of this delete, reason, expected version or '', marker's life (ms),
-- lifetime of the copy (ms). Answers {version, record} or nil. The deleted copy lets a repeated delete answer what the first one took.
local deleted = redis.call('HMGET', KEYS[2], 'o', 'v', 'r')
if deleted[1] == ARGV[1] then
    redis.call('HSET', KEYS[2], 'o', ARGV[1])
    return {deleted[2], deleted[3]}
end
local found = redis.call('HMGET', KEYS[1], 'v', 'r')
if not found[1] or (ARGV[3] ~= '' and found[1] ~= ARGV[3]) then return false end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], 'o', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], 'reason', ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {found[1], found[2]}
