"""Labels and errors against them."""

import pytest

from magi.audit.labels import BadLabels, Errors, read_labels


def test_labels_with_and_without_an_initiator() -> None:
    labels = read_labels(["request_id,initiator,label\n", "one,agent,pass\n", "two,,fail\n"])
    assert len(labels) == 2
    assert labels.of("agent", "one") == "pass"
    assert labels.of("other", "one") is None
    assert labels.of("anybody", "two") == "fail"
    plain = read_labels(["Label , request_id\n", "PASS,one\n", "\n", ' fail ,"a, b"\n'])
    assert (plain.of("x", "one"), plain.of("x", "a, b")) == ("pass", "fail")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1"),
        (["request_id\n"], "line 1"),
        (["label,label,request_id\n"], "line 1"),
        (["request_id,label\n", "one,good\n"], "line 2: label: expected pass or fail, got 'good'"),
        (["request_id,label\n", "one,pass\n", "two\n"], "line 3: expected 2 fields, got 1"),
        (["request_id,label\n", "one,pass\n", "one,fail\n"], "line 3: 'one' is labelled both"),
        (["request_id,label\n", '"one,pass\n'], "line 2"),
    ],
)
def test_a_file_that_can_not_be_used_names_the_line(lines: list[str], message: str) -> None:
    with pytest.raises(BadLabels, match=message):
        read_labels(lines)


def test_errors_are_counted_against_what_is_labelled_so() -> None:
    errors = Errors()
    assert (errors.false_accept_rate, errors.false_reject_rate) == (None, None)
    for label, verdict in (("pass", "pass"), ("pass", "fail"), ("fail", "pass"), ("fail", "fail"), ("fail", "fail")):
        errors.count(label, verdict)  # type: ignore[arg-type]
    assert (errors.good, errors.bad, errors.false_rejects, errors.false_accepts) == (2, 3, 1, 1)
    assert errors.false_accept_rate == pytest.approx(1 / 3)
    assert errors.false_reject_rate == pytest.approx(1 / 2)
