from magi.cli.checks_versions import judge_versions


def test_parts_of_two_versions_are_told() -> None:
    finding = judge_versions({"1.2.0": ["gateway"], "1.3.0": ["orchestrator", "orchestrator"]}, "1.3.0")
    assert finding.status == "warning"
    assert "1.2.0: gateway; 1.3.0: orchestrator" in finding.found


def test_a_command_of_another_version_than_all_parts_is_told() -> None:
    assert judge_versions({"1.2.0": ["gateway"]}, "1.3.0").status == "warning"
    assert judge_versions({"1.3.0": ["gateway"]}, "1.3.0").status == "ok"
    assert judge_versions({}, "1.3.0").status == "ok"
