"""What rules have in braces, ``{{ $value | humanizePercentage }}``: as much of Go's templates as alerts use."""

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from magi.alerts.not_supported import NotSupported

_BRACES = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_SOURCE = re.compile(r"(?:\$value|\.Value)|(?:\$labels|\.Labels)\.([A-Za-z_]\w*)")
_PRINTF = re.compile(r'printf\s+"([^"]*)"')
_VERB = re.compile(r"%(?:%|[-+ 0]*\d*(?:\.\d+)?[efgs])")

Template = Callable[[float, Mapping[str, str]], str]
"""What it says of a value and of the labels of its sample."""


def template(text: str) -> Template:
    """Raises NotSupported when something in braces is more than a value or a label through the functions known here."""
    pieces: list[str | Template] = []
    end = 0
    for found in _BRACES.finditer(text):
        pieces += [text[end : found.start()], _pipeline(found[1])]
        end = found.end()
    pieces.append(text[end:])
    if "{{" in text[end:]:
        raise NotSupported(f"{text!r}: braces that don't close")
    return lambda value, labels: "".join(p if isinstance(p, str) else p(value, labels) for p in pieces)


def _pipeline(text: str) -> Template:
    first, *through = (part.strip() for part in text.split("|"))
    words = first.split(maxsplit=1)
    if len(words) == 2 and words[0] in FUNCTIONS:  # `humanize $value` is `$value | humanize`
        first, through = words[1], [words[0], *through]
    source = _SOURCE.fullmatch(first)
    unknown = [name for name in through if name not in FUNCTIONS and not _PRINTF.fullmatch(name)]
    if source is None or unknown:
        raise NotSupported(
            f"{{{{ {text} }}}} is not supported: a value or label, through {', '.join(FUNCTIONS)}, printf"
        )
    label = source[1]
    steps = [_step(name) for name in through]

    def fill(value: float, labels: Mapping[str, str]) -> str:
        result: float | str = value if label is None else labels.get(label, "")
        for step in steps:
            result = step(result)
        return result if isinstance(result, str) else number(result)

    return fill


def _step(name: str) -> Callable[[float | str], str]:
    if printf := _PRINTF.fullmatch(name):
        pattern = printf[1].replace("%v", "%s")
        verbs = _VERB.findall(pattern)
        if pattern.count("%") != sum(verb.count("%") for verb in verbs) or len([v for v in verbs if v != "%%"]) != 1:
            raise NotSupported(f"{name}: one of %e %f %g %s %v is supported")
        is_text = any(verb.endswith("s") for verb in verbs)

        def fill(given: float | str) -> str:
            if is_text:
                return pattern % (given if isinstance(given, str) else number(given))
            return pattern % value if math.isfinite(value := _float(given)) else _special(value)

        return fill
    function = FUNCTIONS[name]
    return lambda given: function(_float(given))


def _float(given: float | str) -> float:
    try:
        return float(given)
    except ValueError:
        return math.nan


def number(value: float) -> str:
    """As Go prints it: as few digits as tell it from its neighbours, and a power of ten from a million on."""
    if not math.isfinite(value):
        return _special(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    written = "".join(map(str, digits))
    power = len(digits) + int(exponent) - 1
    if value == 0 or -4 <= power < 6:
        return format(Decimal(repr(value)).normalize(), "f")
    return f"{'-' if sign else ''}{written[0]}{'.' if written[1:] else ''}{written[1:]}e{power:+03d}"


def _special(value: float) -> str:
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def _scaled(value: float, base: float, larger: str) -> tuple[float, str]:
    prefix = ""
    for candidate in larger:
        if abs(value) < base:
            break
        prefix, value = candidate, value / base
    return value, prefix


def _tiny(value: float) -> tuple[float, str]:
    prefix = ""
    for candidate in "munpfazy":
        if abs(value) >= 1:
            break
        prefix, value = candidate, value * 1000
    return value, prefix


def humanize(value: float) -> str:
    """With a metric prefix: ``1.234k``."""
    if not math.isfinite(value):
        return _special(value)
    scaled, prefix = (
        (value, "") if value == 0 else _scaled(value, 1000, "kMGTPEZY") if abs(value) >= 1 else _tiny(value)
    )
    return f"{scaled:.4g}{prefix}"


def humanize_1024(value: float) -> str:
    """With a binary prefix: ``1.5ki``."""
    if not math.isfinite(value):
        return _special(value)
    scaled, prefix = (value, "") if abs(value) <= 1 else _scaled(value, 1024, "kMGTPEZY")
    return f"{scaled:.4g}{prefix}{'i' if prefix else ''}"


def humanize_duration(value: float) -> str:
    """Of seconds: ``1h 2m 3s``, ``4.5s``, ``6ms``."""
    if not math.isfinite(value):
        return _special(value)
    if abs(value) < 1:
        scaled, prefix = (value, "") if value == 0 else _tiny(value)
        return f"{scaled:.4g}{prefix}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{value:.4g}s"


def humanize_percentage(value: float) -> str:
    """Of a ratio: ``12.34%``."""
    return (_special(value) if not math.isfinite(value) else f"{value * 100:.4g}") + "%"


FUNCTIONS: dict[str, Callable[[float], str]] = {
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
}
