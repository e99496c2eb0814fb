"""MAGI: a review gate for machine-made content."""

__version__ = "0.2.0"
