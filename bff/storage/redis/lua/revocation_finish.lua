-- KEYS: due times, records. ARGV: id.
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('HDEL', KEYS[2], ARGV[1], ARGV[1] .. ':u', ARGV[1] .. ':n')
