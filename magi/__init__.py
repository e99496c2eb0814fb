"""MAGI: a review gate for machine-made content."""
