"""Side-by-side measurements: ours beside what people run today, doing the same work on the same machine.

Owns: the contenders, the load, the rounds and the table of ratios. Only ratios are judged.
Does not own: anything a test relies on; nothing in here asserts.
"""
