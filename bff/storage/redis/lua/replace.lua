-- KEYS: record. ARGV: expected version, new version, write id, record, index digest, expiry (ms), '1' if indexed.
-- Answers {seconds, microseconds, 'done' | 'moved' | 'index'}; 'index' asks for the index entries to be added first.
local time = redis.call('TIME')
local found = redis.call('HMGET', KEYS[1], 'v', 'w', 'x')
if found[2] == ARGV[3] then
    redis.call('HSET', KEYS[1], 'w', ARGV[3])
    return {time[1], time[2], 'done'}
end
if found[1] ~= ARGV[1] then return {time[1], time[2], 'moved'} end
if found[3] ~= ARGV[5] and ARGV[7] ~= '1' then return {time[1], time[2], 'index'} end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'w', ARGV[3], 'r', ARGV[4], 'x', ARGV[5])
redis.call('PEXPIREAT', KEYS[1], ARGV[6])
return {time[1], time[2], 'done'}
