"""What people say the verdicts should have been: a CSV of ``request_id[,initiator],label``, and errors against it."""

import csv
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from magi.domain.strategies import Verdict

Label = Literal["pass", "fail"]


class BadLabels(Exception):
    """The file of labels can't be used; the message names the line."""


class Labels:
    """Labels by request. One without an initiator is that of every initiator's request of this id."""

    def __init__(self) -> None:
        self._labels: dict[tuple[str, str], Label] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, initiator: str, request_id: str, label: Label) -> None:
        """Raises ValueError when it contradicts an earlier one."""
        if self._labels.setdefault((initiator, request_id), label) != label:
            raise ValueError(f"{request_id!r} is labelled both pass and fail")

    def of(self, initiator: str, request_id: str) -> Label | None:
        return self._labels.get((initiator, request_id)) or self._labels.get(("", request_id))


def read_labels(lines: Iterable[str]) -> Labels:
    """Read CSV with a heading that names its columns. Raises BadLabels."""
    rows = csv.reader(lines, strict=True)
    labels = Labels()
    try:
        heading = [name.strip().lower() for name in next(rows, [])]
        if not {"request_id", "label"} <= set(heading) or len(set(heading)) != len(heading):
            raise BadLabels("line 1: expected a heading with the columns request_id, label and, if wanted, initiator")
        for row in rows:
            if row:
                _add(labels, heading, row)
    except (csv.Error, ValueError) as error:
        raise BadLabels(f"line {rows.line_num}: {error}") from error
    return labels


def _add(labels: Labels, heading: list[str], row: list[str]) -> None:
    if len(row) != len(heading):
        raise ValueError(f"expected {len(heading)} fields, got {len(row)}")
    fields = dict(zip(heading, row, strict=True))
    label = fields["label"].strip().lower()
    if label not in ("pass", "fail"):
        raise ValueError(f"label: expected pass or fail, got {label[:40]!r}")
    labels.add(fields.get("initiator", "").strip(), fields["request_id"], "pass" if label == "pass" else "fail")


class Errors(Struct):
    """Verdicts against labels."""

    good: int = 0
    """Labelled pass."""
    bad: int = 0
    """Labelled fail."""
    false_accepts: int = 0
    """Labelled fail, and passed."""
    false_rejects: int = 0
    """Labelled pass, and failed."""

    def count(self, label: Label, verdict: Verdict) -> None:
        if label == "pass":
            self.good += 1
            self.false_rejects += verdict == "fail"
        else:
            self.bad += 1
            self.false_accepts += verdict == "pass"

    @property
    def false_accept_rate(self) -> float | None:
        """The share of those labelled fail that passed; None when there are none."""
        return self.false_accepts / self.bad if self.bad else None

    @property
    def false_reject_rate(self) -> float | None:
        """The share of those labelled pass that failed; None when there are none."""
        return self.false_rejects / self.good if self.good else None
