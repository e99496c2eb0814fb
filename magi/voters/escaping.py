"""Words of a program or a server that become part of a reason: on one line, short, and steering no terminal."""


def escaped(text: str, limit: int = 300) -> str:
    r"""`text` with whatever isn't printable written as an escape (``\x1b``), at most `limit` characters long."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return line if len(line) <= limit and len(text) <= limit else line[: limit - 1] + "…"
