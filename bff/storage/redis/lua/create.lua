-- KEYS: record. ARGV: version, write id, record, index digest, expiry (ms). Returns 1, or 0 if the key exists.
-- A repeated write stores its id again, because WAIT covers only writes of its own connection.
if redis.call('EXISTS', KEYS[1]) == 1 then
    if redis.call('HGET', KEYS[1], 'w') ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[1], 'w', ARGV[2])
    return 1
end
local time = redis.call('TIME')
local last_seen = time[1] .. '.' .. string.format('%06d', tonumber(time[2]))
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'w', ARGV[2], 'r', ARGV[3], 'x', ARGV[4], 's', last_seen)
redis.call('PEXPIREAT', KEYS[1], ARGV[5])
return 1
