"""What an auditor does with the log: check that it is what was written, and decide again what it says was decided.

Everything but `source` is a function of stored messages, so the same checks run on the live log and on an export.
"""
