"""Whether anybody wants the lines of level debug in this process. Whoever has one for each event asks first: on a busy
part even lines that aren't written, with all that is put together for them, are a twentieth of its time."""

_wanted = True


def wanted() -> bool:
    """Also when nobody has said so: then the logger decides."""
    return _wanted


def want(wanted: bool) -> None:
    """To be called by whoever sets the level of the logs."""
    global _wanted
    _wanted = wanted
