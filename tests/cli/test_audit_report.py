"""What an audit found, for people and programs."""

from rich.text import Text

from magi.audit.audits import Audit
from magi.audit.findings import Findings, Problem
from magi.audit.rolling import Head
from magi.audit.verify import Audited, Scope
from magi.cli.audit_report import SHOWN, audit_report, show_audit

READ = Audited(8, 1, 8, 1, 3, {"pass": 1}, 0)


def audit(findings: Findings, scope: Scope = "whole") -> Audit:
    return Audit(scope, READ, Head(), findings)


def text(found: Audit) -> str:
    lines = show_audit(audit_report("the log", found), found.findings)
    return "\n".join(line.plain if isinstance(line, Text) else line for line in lines)


def test_a_sound_log_is_told_with_its_head() -> None:
    shown = text(audit(Findings()))
    assert "the log: 8 events, sequences 1 to 8" in shown
    assert "1 request (1 pass, 0 open), 3 votes" in shown
    assert shown.endswith(str(Head()))


def test_nothing_new_has_no_sequences() -> None:
    found = Audit("tail", Audited(0, 0, 8, 0, 0, {}, 0), Head(), Findings())
    assert text(found).startswith("the log: no events\n")


def test_some_requests_have_no_head() -> None:
    report = audit_report("x", audit(Findings(), "selection"))
    assert report.head == ""
    assert "head" not in text(audit(Findings(), "selection"))


def test_a_finding_names_its_place_and_is_safe() -> None:
    findings = Findings()
    findings.add("MAGI_LOG", 7, "agent.x", 3, [Problem("chain", "\x1b[31mother\x1b[0m bytes")])
    shown = text(audit(findings))
    assert r"broken    chain: MAGI_LOG 7, agent.x version 3: \x1b[31mother\x1b[0m bytes" in shown
    assert "BROKEN" in shown
    assert "keep it outside" not in shown


def test_many_findings_are_counted_by_kind() -> None:
    findings = Findings()
    for sequence in range(SHOWN + 10):
        findings.add("MAGI_LOG", sequence, "agent.x", 1, [Problem("chain", "x")])
    findings.add("MAGI_LOG", 0, "", 0, [Problem("hole", "y")])
    shown = text(audit(findings))
    assert shown.count("broken    ") == SHOWN
    assert f"… {SHOWN + 11} findings in all: {SHOWN + 10} chain, 1 hole" in shown


def test_a_note_breaks_nothing_and_a_missing_strategy_leaves_it_open() -> None:
    findings = Findings()
    findings.add("MAGI_LOG", 1, "agent.x", 1, [Problem("suspended", "x")])
    assert audit(findings).outcome == "fine"
    assert "1 note." in text(audit(findings))
    findings.add("MAGI_LOG", 1, "agent.x", 1, [Problem("strategy_missing", "x")])
    assert audit(findings).outcome == "unchecked"
    assert "not everything could" in text(audit(findings))
    findings.add("MAGI_LOG", 1, "agent.x", 1, [Problem("chain", "x")])
    assert audit(findings).outcome == "broken"
