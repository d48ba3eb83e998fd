-- KEYS: record. ARGV: version, write id, record, index digest. Returns 1, or 0 if the record is another one now.
-- The content is the same, sealed under another key, so version and write id stay.
local stored = redis.call('HMGET', KEYS[1], 'v', 'w')
if stored[1] ~= ARGV[1] or stored[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'r', ARGV[3], 'x', ARGV[4])
return 1
