"""Alerts without Prometheus: its rules, `magi-rules.yml`, evaluated over what MAGI's own parts show on their operations
ports. `promql-parser` reads the expressions; what they mean is computed here as Prometheus 3 computes it, over samples
that are kept in memory for as long as the rules look back.
"""
