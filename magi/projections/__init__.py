"""The log as Postgres views for operators: projector, rebuild, verify, queries. Everything here can be rebuilt."""
