"""The files that settings name, looked at before anything relies on them: are they there, and hold what they must?

Not when settings are loaded: whoever reads a history may not be allowed to read the gateway's key, and needn't.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from magi.cli.context import Context
from magi.cli.setting_words import given, is_secret
from magi.cli.settings import Settings, SettingsError
from magi.eventstore.tls import BadTlsFile, client_context, load_certificate
from magi.telemetry.tracing_settings import BadHeaders, read_headers


class BadFile(Struct, frozen=True):
    """A setting whose file can't be used."""

    name: str
    source: str
    """What set it: a file, a variable or an option."""
    problem: str
    """What was expected, and what there is instead."""

    def __str__(self) -> str:
        return f"{self.source}: {self.name}: {self.problem}"


def check_files(ctx: Context, *beginnings: str) -> None:
    """Raises SettingsError for those whose names begin so, one line for each."""
    bad = [one for one in bad_files(ctx) if one.name.startswith(beginnings)]
    if bad:
        raise SettingsError("\nmagi: ".join(map(str, bad)))


def bad_files(ctx: Context) -> list[BadFile]:
    """All of them, in the settings' order. Blocks for some milliseconds."""
    found = []
    for setting in ctx.in_force:
        if setting.name in _CHECKS and setting.value:
            expected, check = _CHECKS[setting.name]
            if problem := _problem(check, ctx.settings, setting.value):
                told = f"expected {expected}, got {given(setting.name, setting.value)}"
                told += "" if is_secret(setting.value) else f": {problem}"
                found.append(BadFile(setting.name, setting.source, told))
    return found


def _problem(check: Callable[[Settings], object], settings: Settings, file: str) -> str:
    try:
        check(settings)
    except UnicodeDecodeError:
        return "it is not text"
    except OSError as error:
        return error.strerror or type(error).__name__
    except (BadHeaders, BadTlsFile, ValueError) as error:
        return str(error).removeprefix(f"{file}: ")
    return ""


def _nats_certificate(settings: Settings) -> None:
    nats = settings.nats
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_certificate(context, Path(nats.tls_cert), Path(nats.tls_key or nats.tls_cert))


def _gateway_certificate(settings: Settings) -> None:
    gateway = settings.gateway
    if not gateway.tls_key:
        raise ValueError("gateway.tls_key has to be set, too")
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Path(gateway.tls_cert), Path(gateway.tls_key))


def _gateway_key(settings: Settings) -> None:
    if not settings.gateway.tls_cert:
        raise ValueError("gateway.tls_cert has to be set, too")


def _secret(settings: Settings) -> None:
    from magi.webhooks.secret_file import read_secret  # here: few have one

    read_secret(settings.alerts.webhook_secret_file)


def _rules(settings: Settings) -> None:
    from magi.alerts.rules import RulesError, load_rules  # here: it takes a tenth of a second

    try:
        load_rules(Path(settings.alerts.rules))
    except RulesError as error:
        raise ValueError(str(error)) from error


_CAS = "a file with certificates of CAs, in PEM"
_CERTIFICATE = "a file with a certificate, in PEM"
_CHECKS: dict[str, tuple[str, Callable[[Settings], object]]] = {
    "nats.seed_file": ("a file with the seed of an nkey", lambda s: Path(s.nats.seed_file).read_text("utf-8")),
    "nats.tls_ca": (_CAS, lambda s: client_context(s.nats.tls_ca)),
    "nats.tls_cert": (_CERTIFICATE, _nats_certificate),
    "gateway.tls_cert": (_CERTIFICATE, _gateway_certificate),
    "gateway.tls_key": ("a file with a certificate's key, in PEM", _gateway_key),
    "gateway.tls_ca": (_CAS, lambda s: client_context(s.gateway.tls_ca)),
    "alerts.webhook_secret_file": ("a file with a secret (whsec_…)", _secret),
    "alerts.rules": ("a file with rules in Prometheus' format", _rules),
    "tracing.headers_file": (
        "a file with headers, `Name: value` a line",
        lambda s: read_headers(s.tracing.headers_file),
    ),
    "tracing.tls_ca": (_CAS, lambda s: client_context(s.tracing.tls_ca)),
}
