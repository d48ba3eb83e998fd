-- KEYS: due times, records. ARGV: maximum number, lease (ms). Returns {id, until (ms), attempts, record, id, ...}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now), 'LIMIT', 0, ARGV[1])) do
    local stored = redis.call('HMGET', KEYS[2], id, id .. ':u', id .. ':n')
    if not stored[1] or not stored[2] or tonumber(stored[2]) <= now then
        redis.call('ZREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id, id .. ':u', id .. ':n')
    else
        local attempts = string.format('%d', tonumber(stored[3] or '0') + 1)
        redis.call('ZADD', KEYS[1], string.format('%d', now + tonumber(ARGV[2])), id)
        redis.call('HSET', KEYS[2], id .. ':n', attempts)
        for _, value in ipairs({id, stored[2], attempts, stored[1]}) do claimed[#claimed + 1] = value end
    end
end
return claimed
