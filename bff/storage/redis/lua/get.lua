-- KEYS: record. ARGV: maximum size of a record in bytes. Returns {seconds, microseconds, version, record, last seen}.
local time = redis.call('TIME')
if redis.call('HSTRLEN', KEYS[1], 'r') > tonumber(ARGV[1]) then
    return {time[1], time[2], false, false, false}
end
local stored = redis.call('HMGET', KEYS[1], 'v', 'r', 's')
return {time[1], time[2], stored[1], stored[2], stored[3]}
