-- KEYS: one-time value. ARGV: sealed value, until (ms).
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'value', ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return 1
