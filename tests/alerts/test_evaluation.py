"""`magi.alerts` against Prometheus: files that `promtool test rules` accepts hold for our evaluator as well."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from magi.alerts.alert import Scrape
from magi.alerts.evaluation import Evaluator
from magi.alerts.rules import FILE, load_rules, read_rules
from tests.alerts.promtool import Run, runs

FILES = sorted((Path(__file__).parent / "promtool").glob("*.test.yml"))
RUNS = [run for file in FILES for run in runs(file)]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: str(run.test["name"]))
def test_it_comes_to_the_same_as_prometheus(run: Run) -> None:
    assert run.differences() == []


def test_every_alert_of_ours_fires_in_one_of_them() -> None:
    fired = {
        case["alertname"] for run in RUNS for case in run.test.get("alert_rule_test", ()) if case.get("exp_alerts")
    }
    assert set(load_rules().alerts) <= fired


def test_every_alert_of_ours_is_driven_by_what_it_is_about() -> None:
    driven = (Path(__file__).parent / "test_driven.py").read_text()
    assert [name for name in load_rules().alerts if f'"{name}"' not in driven] == []


def test_prometheus_is_given_the_same_rules() -> None:
    assert (Path(__file__).parents[2] / "deploy" / "prometheus" / "magi-rules.yml").read_text() == FILE.read_text()


def evaluator(text: str) -> Evaluator:
    return Evaluator(read_rules(f"groups: [{{name: g, rules: [{text}]}}]".encode(), "test"))


def scrape(text: str | None) -> list[Scrape]:
    return [Scrape("gateway", "g:1", text)]


def test_what_a_target_told_ends_with_it_and_up_stays() -> None:
    watched = evaluator("{alert: There, expr: x}, {alert: Down, expr: up == 0}, {alert: None, expr: absent(x)}")
    assert [a.name for a in watched.observe(scrape("x 1\n"), 0)] == ["There"]
    assert [a.name for a in watched.observe(scrape(None), 15)] == ["Down", "None"]
    assert [a.name for a in watched.observe(scrape("not metrics {\n"), 30)] == ["None"]  # it has no x, and is up
    assert [a.name for a in watched.observe(scrape('x{a="b" 1\n'), 45)] == ["None", "Down"]
    assert [a.name for a in watched.observe(scrape("x 2\n"), 60)] == ["There"]
    assert [a.name for a in watched.observe([], 75)] == ["None"]  # it isn't looked for any more


def test_pending_fires_and_begins_anew_when_its_condition_was_gone() -> None:
    watched = evaluator("{alert: A, expr: x > 1, for: 30s, labels: {severity: critical}}")
    states = []
    for number, value in enumerate([2, 2, 2, 1, 3, 3]):
        alerts = watched.observe(scrape(f"x {value}\n"), number * 15)
        states.append([(a.state, a.since, a.firing_since) for a in alerts])
    assert states == [
        [("pending", 0, None)],
        [("pending", 0, None)],
        [("firing", 0, 30)],
        [],
        [("pending", 60, None)],
        [("pending", 60, None)],
    ]


def test_after_a_restart_what_fired_goes_on_and_is_given_time() -> None:
    rule = "{alert: A, expr: 'increase(x[5m]) > 1', for: 30s}"
    before = evaluator(rule)
    alerts = [alert for at in range(0, 90, 15) for alert in before.observe(scrape(f"x {at}\n"), at) if at == 75]
    assert [alert.state for alert in alerts] == ["firing"]
    after = evaluator(rule)
    after.restore(alerts, held_until=200)
    (alert,) = after.observe(scrape("x 500\n"), 100)  # one scrape says nothing of an increase
    assert (alert.state, alert.since, alert.key) == ("firing", alerts[0].since, alerts[0].key)
    after.observe(scrape("x 500\n"), 115)
    assert after.observe(scrape("x 500\n"), 215) == []


def test_a_rule_that_has_no_result_is_told_of_once_and_keeps_its_alerts() -> None:
    watched = evaluator("{alert: A, expr: x / on () y}")
    assert len(watched.observe(scrape("x 1\ny 1\n"), 0)) == 1
    with capture_logs() as logged:
        for at in (15, 30):
            alerts = watched.observe(scrape('x 1\ny{a="1"} 1\ny{a="2"} 1\n'), at)
            assert [a.name for a in alerts] == ["A"]
    assert [line["event"] for line in logged] == ["alert_rule_failed"]
    assert list(watched.failing) == ["g: A"]
    watched.observe(scrape("x 1\ny 1\n"), 45)
    assert not watched.failing


def test_a_group_is_evaluated_as_often_as_it_says() -> None:
    rules = b"groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x}]}]"
    watched = Evaluator(read_rules(rules, "test"))
    values = [watched.observe(scrape(f"x {at}\n"), at)[0].value for at in (0, 15, 30, 45, 60, 75)]
    assert values == [0, 0, 0, 0, 60, 60]


def test_time_goes_forward_only() -> None:
    watched = evaluator("{alert: A, expr: x}")
    watched.observe(scrape("x 1\n"), 10)
    with pytest.raises(ValueError):
        watched.observe(scrape("x 1\n"), 10)
