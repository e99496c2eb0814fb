"""What a value has to be beyond its type: addresses that can be called, levels of parts. Pure: no file is looked at."""

from collections.abc import Callable
from typing import Any

from magi.cli.setting_words import given

LEVELS = ("debug", "info", "warning", "error")


def problem_of_form(name: str, value: Any) -> str:
    """What is wrong with a setting's value, and what was expected; empty when nothing is."""
    check = _CHECKS.get(name)
    return check(name, value) if check and value else ""


def _webhook(name: str, value: str) -> str:
    from magi.webhooks.addresses import WITH_PRIVATE, AddressRefused, BadUrl, checked_url  # here: few post alerts

    try:
        checked_url(value, WITH_PRIVATE)
    except (AddressRefused, BadUrl) as error:
        return f"expected an address such as https://example.org/alerts, got {given(name, value)}: {error}"
    return ""


def _http(name: str, value: str) -> str:
    from magi.webhooks.addresses import BadUrl, parsed_url

    try:
        parsed_url(value)
    except BadUrl as error:
        return f"expected an address such as http://localhost:4318, got {given(name, value)}: {error}"
    return ""


def _levels(name: str, value: list[str]) -> str:
    for one in value:
        part, equals, level = (piece.strip() for piece in one.partition("="))
        if not part or not equals or level not in LEVELS:
            return f"expected PART=LEVEL, and as a level one of {', '.join(LEVELS)}; got {given(name, one)}"
    return ""


_CHECKS: dict[str, Callable[[str, Any], str]] = {
    "alerts.webhook_url": _webhook,
    "tracing.endpoint": _http,
    "log.parts": _levels,
}
