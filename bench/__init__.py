"""Benchmarks. Each prints its environment, measures its rivals in the same run, and quotes ratios."""
