"""What rules may hold and can't be computed here."""


class NotSupported(ValueError):
    """A rule uses what can't be computed here, or isn't PromQL at all. The message says what."""
