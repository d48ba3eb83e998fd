-- KEYS: end reason. ARGV: reason, its TTL (ms).
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'reason', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
