from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from magi.cli.checks_expiry import DAY, Certificate, _ends, judge_certificates, judge_tokens
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


def test_of_a_chain_the_certificate_counts_that_ends_first(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ca = make_ca(now)
    soon = issue(ca, ("localhost",), now, days=3)
    (tmp_path / "chain.pem").write_bytes(ca.certificate + soon.certificate)
    left = _ends(tmp_path / "chain.pem") / 1000 - now.timestamp()
    assert timedelta(days=2) < timedelta(seconds=left) < timedelta(days=4)


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
