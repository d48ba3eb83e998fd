-- KEYS: record, its grave, its end marker. ARGV: id of this delete, reason, expected version or '', marker's life (ms),
-- grave's life (ms). Answers {version, record} or nil. The grave lets a repeated delete answer what the first one took.
local buried = redis.call('HMGET', KEYS[2], 'o', 'v', 'r')
if buried[1] == ARGV[1] then
    redis.call('HSET', KEYS[2], 'o', ARGV[1])
    return {buried[2], buried[3]}
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
