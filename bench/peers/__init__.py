"""What others would build MAGI's work on: the same requests, the same eight events, with their means.

A file a library (`on_*.py`): what it runs, what it does for durability, and what it is spared. Not installed with MAGI
nor with its tests: `uv run --group bench`.
"""
