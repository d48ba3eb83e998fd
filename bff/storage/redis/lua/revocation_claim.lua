-- KEYS: due times, records, turns. ARGV: maximum number, lease (ms). Returns {id, until (ms), attempts, record, id, ...}.
-- Those that are due, and then those that were never attempted, whose due time is only an order. An older version of
-- this software neither adds nor removes turns.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count, claimed = tonumber(ARGV[1]), {}
local function claim(id, attempted)
    local stored = redis.call('HMGET', KEYS[2], id, id .. ':u', id .. ':n')
    if not stored[1] or not stored[2] or tonumber(stored[2]) <= now then
        redis.call('ZREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id, id .. ':u', id .. ':n')
    elseif attempted or stored[3] == '0' then
        local attempts = string.format('%d', tonumber(stored[3] or '0') + 1)
        redis.call('ZADD', KEYS[1], string.format('%d', now + tonumber(ARGV[2])), id)
        redis.call('HSET', KEYS[2], id .. ':n', attempts)
        for _, value in ipairs({id, stored[2], attempts, stored[1]}) do claimed[#claimed + 1] = value end
    end
    redis.call('ZREM', KEYS[3], id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now), 'LIMIT', 0, count)) do
    claim(id, true)
end
local left = count - #claimed / 4
if left > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '+inf', 'LIMIT', 0, left)) do claim(id, false) end
end
return claimed
