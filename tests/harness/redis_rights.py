"""The rights that a Redis user needs (`ACL SETUSER bff on >password ~bff:* ...`), as docs/operations.md lists them."""

from typing import Final

# `ROLE` only finds out about replicas, `INFO` about eviction; the sorted set is the revocation queue's.
ACL: Final = (
    "+time +eval +evalsha +exists +get +set +hget +hgetall +hmget +hset +hdel +hlen +hstrlen"
    " +del +rename +pttl +pexpire +pexpireat +scan +wait +role +info +zadd +zcard +zrangebyscore +zrem"
)
ACL_CLUSTER: Final = "+cluster|slots +asking"  # additionally for a Cluster
