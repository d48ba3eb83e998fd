"""Benchmarks that compare the BFF with other proxies, which do the same work on the same machine.

Only the ratios between contenders are meaningful. No test depends on this package, and it makes no assertions.
"""
