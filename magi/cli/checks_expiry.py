"""What `magi doctor` looks at in what ends on a day: certificates and tokens.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from magi.cli.context import Context
from magi.cli.findings import Finding, error, ok, warning
from magi.domain.clock import milliseconds, rfc3339
from magi.domain.directory import Directory
from magi.domain.tokens import Token
from magi.eventstore.bus import Bus

CERTIFICATE_DAYS = 14
"""Who renews a certificate by itself does so weeks before."""
TOKEN_DAYS = 7
DAY = 86_400_000
"""Milliseconds."""


class Certificate(Struct, frozen=True):
    """One that somebody relies on."""

    what: str
    """Whose, and where it is."""
    until: int
    """Milliseconds since 1970."""
    renew: str
    """How to replace it."""


def check_certificates(ctx: Context, bus: Bus | None, now: int) -> list[Finding]:
    """Those that the settings name, and the one that nats-server showed. `now`: milliseconds since 1970."""
    gateway, nats = ctx.settings.gateway, ctx.settings.nats
    files = {
        "gateway.tls_cert": (gateway.tls_cert, "put a new one there: the gateway takes it within a second"),
        "gateway.tls_ca": (gateway.tls_ca, "put the new CA there, beside the old one"),
        "nats.tls_cert": (nats.tls_cert, "put a new one there, and restart the parts one after the other"),
        "nats.tls_ca": (nats.tls_ca, "put the new CA there, beside the old one, and restart the parts"),
    }
    found: list[Certificate] = []
    problems: list[Finding] = []
    for setting, (file, renew) in files.items():
        if file:
            try:
                # Of a chain all are needed; of CAs the new one stands beside the old one until nobody needs that.
                ends = (max if setting.endswith("_ca") else min)(_ends(Path(file)))
                found.append(Certificate(f"{setting} ({file})", ends, renew))
            except (OSError, ValueError) as problem:
                problems.append(error("certificates", f"{setting} ({file}): {problem}", "is it a PEM file?"))
    if bus is not None and (shown := _shown_by(bus)) is not None:
        renew = "put a new one on the servers, then `nats-server --signal reload` on each"
        found.append(Certificate("nats-server's own", shown, renew))
    return [*problems, *judge_certificates(found, now)]


def _ends(file: Path) -> list[int]:
    """When the certificates in a file end. Raises OSError, ValueError."""
    from cryptography import x509  # here: a tenth of a second, for those who use TLS only

    certificates = x509.load_pem_x509_certificates(file.read_bytes())
    return [int(c.not_valid_after_utc.timestamp() * 1000) for c in certificates]


def _shown_by(bus: Bus) -> int | None:
    """When the certificate of the server that we are connected to ends; None without TLS."""
    transport: Any = getattr(bus.nc, "_transport", None)  # nats-py tells nobody which certificate it saw
    writer = getattr(transport, "_io_writer", None)
    certificate = writer.get_extra_info("peercert") if writer is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    ends = datetime.strptime(certificate["notAfter"], "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC)
    return int(ends.timestamp() * 1000)


def judge_certificates(certificates: Sequence[Certificate], now: int) -> list[Finding]:
    if not certificates:
        return []
    findings = []
    for certificate in certificates:
        left = certificate.until - now
        if left <= 0:
            found = f"{certificate.what} ended {_days(-left)} ago: who checks it doesn't connect"
            findings.append(error("certificates", found, certificate.renew))
        elif left < CERTIFICATE_DAYS * DAY:
            findings.append(warning("certificates", f"{certificate.what} ends in {_days(left)}", certificate.renew))
    first = min(certificates, key=lambda c: c.until)
    return findings or [ok("certificates", f"{len(certificates)}; the first ends in {_days(first.until - now)}")]


def judge_tokens(directory: Directory, now: int) -> list[Finding]:
    """Those who have tokens and are soon without: a token that is replaced already is no finding."""
    holders: list[tuple[str, str, Mapping[str, Token]]] = [
        (f"Initiator {name}", f"magi initiators rotate {name} --overlap 1d", who.tokens)
        for name, who in directory.initiators.items()
        if who.status == "active"
    ]
    holders += [
        (f"voter {name}", f"magi voters rotate-token {name} --overlap 1d", who.tokens)
        for name, who in directory.voters.items()
        if who.status != "revoked"
    ]
    return [finding for who, command, tokens in holders if (finding := _judge_tokens(who, command, tokens, now))]


def _judge_tokens(who: str, command: str, tokens: Mapping[str, Token], now: int) -> Finding | None:
    if not tokens or any(not token.expires for token in tokens.values()):
        return None
    last = max(milliseconds(token.expires) for token in tokens.values())
    advice = f"`{command}`, and hand the new one over"
    if last <= now:
        return warning("tokens", f"{who} has none that is valid: the last expired at {rfc3339(last)}", advice)
    if last - now < TOKEN_DAYS * DAY:
        return warning("tokens", f"{who}: the last one expires in {_days(last - now)}", advice)
    return None


def _days(milliseconds_: int) -> str:
    hours = milliseconds_ // 3_600_000
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
