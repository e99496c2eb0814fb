"""A night on call in a quarter of an hour: a real `magi serve` under load, one incident after another, and what an
operator hears of each: `just night`. Not a test: it judges nothing, it reports.
"""
