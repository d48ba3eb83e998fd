-- KEYS: record. ARGV: expected version, new version, write id, record, index digest, expiry (ms), '1' if indexed.
-- Returns {seconds, microseconds, 'done' | 'conflict' | 'index'}; 'index' requests that the index entries are added
-- first.
local time = redis.call('TIME')
local stored = redis.call('HMGET', KEYS[1], 'v', 'w', 'x')
if stored[2] == ARGV[3] then
    redis.call('HSET', KEYS[1], 'w', ARGV[3])
    return {time[1], time[2], 'done'}
end
if stored[1] ~= ARGV[1] then return {time[1], time[2], 'conflict'} end
if stored[3] ~= ARGV[5] and ARGV[7] ~= '1' then return {time[1], time[2], 'index'} end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'w', ARGV[3], 'r', ARGV[4], 'x', ARGV[5])
redis.call('PEXPIREAT', KEYS[1], ARGV[6])
return {time[1], time[2], 'done'}
