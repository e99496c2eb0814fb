import json

from magi.cli.findings import error, findings_json, ok, show_findings, summary, warning

FINDINGS = [
    ok("disk", "plenty"),
    warning("clock", "late", "set it"),
    error("a longer check", "bad\x1b[2J", "mend it\nnow"),
]


def test_each_finding_is_a_line_with_what_to_do_below_it() -> None:
    assert show_findings(FINDINGS).plain.splitlines() == [
        "ok       disk            plenty",
        "warning  clock           late",
        "                         → set it",
        r"error    a longer check  bad\x1b[2J",
        r"                         → mend it\nnow",
        "1 error, 1 warning.",
    ]


def test_the_summary_counts() -> None:
    assert summary([ok("a", "b")]) == "All is well."
    assert summary([warning("a", "b", "c")] * 2) == "no errors, 2 warnings."


def test_json_has_every_field() -> None:
    assert json.loads(findings_json(FINDINGS))[1] == {
        "check": "clock",
        "status": "warning",
        "found": "late",
        "advice": "set it",
    }
