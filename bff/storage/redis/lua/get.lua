-- KEYS: record. ARGV: most bytes a record may have. Answers {seconds, microseconds, version, record, last seen}.
local time = redis.call('TIME')
if redis.call('HSTRLEN', KEYS[1], 'r') > tonumber(ARGV[1]) then
    return {time[1], time[2], false, false, false}
end
local found = redis.call('HMGET', KEYS[1], 'v', 'r', 's')
return {time[1], time[2], found[1], found[2], found[3]}
