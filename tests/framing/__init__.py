"""Where a request ends: every shape of framing, directly and through real proxies, in one piece and in many."""
