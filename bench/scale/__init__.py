"""`make bench-scale`: what operations cost with 10 thousand, 100 thousand and 1 million sessions in a store."""
