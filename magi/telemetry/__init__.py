"""Metrics: declared as data, counted where things happen, collected when somebody looks. Knows no other part."""
