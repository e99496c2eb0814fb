"""Sizes as people read them: a few digits, not the exact number."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def rough_size(size: int) -> str:
    """`size` bytes to three digits or less: ``78.4 GiB``, ``512 B``."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 100 else f"{value:.1f} {_UNITS[unit]}"
