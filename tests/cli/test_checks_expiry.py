from datetime import UTC, datetime
from pathlib import Path

import pytest

from magi.cli.checks_expiry import DAY, Certificate, check_certificates, judge_certificates, judge_tokens
from magi.cli.context import Context
from magi.cli.dev_certs import issue, make_ca
from magi.domain.clock import rfc3339
from magi.domain.directory import Directory
from magi.domain.ids import InitiatorId
from magi.domain.initiator import Initiator
from magi.domain.tokens import Token

NOW = 1_800_000_000_000


@pytest.mark.parametrize(("days", "status"), [(-1, "error"), (0, "error"), (13, "warning"), (15, "ok")])
def test_a_certificate_is_told_before_it_ends(days: int, status: str) -> None:
    (finding,) = judge_certificates([Certificate("gateway.tls_cert", NOW + days * DAY, "renew it")], NOW)
    assert finding.status == status


def test_nobody_hears_of_certificates_who_has_none() -> None:
    assert judge_certificates([], NOW) == []


@pytest.mark.parametrize(("setting", "said"), [("tls_cert", "ends in 2 days"), ("tls_ca", "1; the first ends in 36")])
def test_of_a_chain_the_first_end_counts_and_of_cas_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, said: str
) -> None:
    """A chain is worth nothing without each of its certificates; an old CA may stand beside the new one."""
    now = datetime.now(UTC)
    ca = make_ca(now)
    soon = issue(ca, ("localhost",), now, days=3)
    both = tmp_path / "both.pem"
    both.write_bytes(ca.certificate + soon.certificate)
    monkeypatch.setenv(f"MAGI_GATEWAY_{setting.upper()}", str(both))
    (finding,) = check_certificates(Context.load(tmp_path), None, int(now.timestamp() * 1000) + DAY // 2)
    assert said in finding.found


def tokens(*expire_in_days: float | None) -> dict[str, Token]:
    return {
        str(number): Token("hash", ("initiate",), rfc3339(NOW + int(days * DAY)) if days is not None else "")
        for number, days in enumerate(expire_in_days)
    }


@pytest.mark.parametrize(
    ("expire_in_days", "said"),
    [
        ((-1,), "none that is valid"),
        ((3,), "expires in 3 days"),
        ((-1, 0.5), "expires in 12 hours"),
        ((8,), ""),
        ((3, 30), ""),
        ((3, None), ""),
        ((), ""),
    ],
)
def test_who_is_soon_without_a_token_is_told(expire_in_days: tuple[float | None, ...], said: str) -> None:
    directory = Directory()
    name = InitiatorId("agent")
    directory.initiators[name] = Initiator(1, "agent", tokens=tokens(*expire_in_days))
    findings = judge_tokens(directory, NOW)
    assert len(findings) == bool(said)
    if findings:
        assert said in findings[0].found
        assert findings[0].advice.startswith("`magi initiators rotate agent")
