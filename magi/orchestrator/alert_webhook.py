"""Alerts as webhooks, signed after Standard Webhooks: ``{"type": "voter.ejected", "timestamp": …, "data": {…}}``.

A queue is between who raises an alert and the network: when it is full the alert is dropped, and the log says so.
"""

import msgspec

from magi.orchestrator.alerts import Alert
from magi.webhooks.outbox import WAITING, Outbox, read_secret


def body(alert: Alert) -> bytes:
    """What is posted."""
    data = {"voter": alert.voter, "severity": alert.severity, "why": alert.why, "by": alert.by}
    if alert.until:
        data |= {"until": alert.until, "ejections": alert.ejections}  # type: ignore[dict-item]
    return msgspec.json.encode({"type": alert.name, "timestamp": alert.at, "data": data})


class AlertWebhook(Outbox):
    """Posts alerts to one URL, one after the other."""

    def __call__(self, alert: Alert) -> None:
        """Take an alert on."""
        self.put(body(alert), {"name": alert.name, "voter": alert.voter})


__all__ = ["WAITING", "AlertWebhook", "body", "read_secret"]
