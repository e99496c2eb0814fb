"""What `magi doctor` looks at in what is to wake somebody: alerts, their webhook, the collector of traces.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from magi.alerts.state_file import STALE_AFTER, AlertsState, evaluating, read_state
from magi.cli.context import Context
from magi.cli.findings import Finding, error, ok, warning
from magi.cli.postgres_access import shown
from magi.cli.setting_files import bad_files
from magi.eventstore.tls import BadTlsFile, client_context, explain

REACH_WITHIN = 5.0
"""Seconds to connect to a webhook or a collector, TLS and all."""


def check_setting_files(ctx: Context) -> list[Finding]:
    """The files that settings name: those that can't be used, each with the setting that names it."""
    return [
        error("settings", str(bad), "mend the file or the setting: `magi serve` doesn't start so")
        for bad in bad_files(ctx)
    ]


def check_alerts(ctx: Context) -> list[Finding]:
    """Whether the alert rules are evaluated, and what they say. Nothing where no `magi serve` runs: Prometheus may."""
    if ctx.note is None or not ctx.note.url:
        return []
    if not ctx.settings.alerts.enabled or not ctx.settings.operations.enabled:
        advice = "is it Prometheus that evaluates them? Else switch on alerts.enabled and operations.enabled"
        return [warning("alerts", "`magi serve` evaluates no rules: they are switched off", advice)]
    state = read_state(ctx.data / "run")
    return [judge_alerts(state if state and evaluating(state) else None, time.time())]


def judge_alerts(state: AlertsState | None, now: float) -> Finding:
    """`now` in Unix time; the last evaluation, None before the first one."""
    if state is None:
        return warning("alerts", "not evaluated yet", "wait a moment: `magi alerts` says for how long")
    ago = max(0.0, now - state.at)
    if ago > STALE_AFTER:
        return error("alerts", f"last evaluated {ago:.0f} s ago", "the log of `magi serve` says why")
    if state.failing:
        rules = ", ".join(sorted(state.failing))
        return error("alerts", f"rules that can't be evaluated: {rules}", "`magi alerts` says why")
    firing = [alert for alert in state.alerts if alert.state == "firing"]
    if firing:
        names = ", ".join(sorted({alert.name for alert in firing}))
        judge = error if any(alert.severity == "critical" for alert in firing) else warning
        return judge("alerts", f"{len(firing)} firing: {names}", "`magi alerts` says what to do about each")
    return ok("alerts", f"evaluated {ago:.0f} s ago, none fires")


async def check_webhook(ctx: Context) -> list[Finding]:
    """Whether somebody listens where alerts are posted. Nothing is posted."""
    settings, check = ctx.settings.alerts, "alert webhook"
    if not settings.webhook_url:
        if settings.webhook_secret_file:
            found = "alerts.webhook_secret_file is set, and alerts.webhook_url isn't"
            return [warning(check, found, "alerts are posted nowhere: set alerts.webhook_url")]
        return []
    problem = await _problem(settings.webhook_url)
    where = shown(settings.webhook_url)
    if problem:
        return [error(check, f"{where}: {problem}", "is alerts.webhook_url right, and is its receiver running?")]
    how = "alerts are signed" if settings.webhook_secret_file else "alerts are not signed (alerts.webhook_secret_file)"
    return [ok(check, f"{where} takes connections; {how}")]


async def check_collector(ctx: Context) -> list[Finding]:
    """Whether somebody listens where spans are sent. Nothing is sent."""
    settings = ctx.settings.tracing
    if not settings.endpoint:
        return []
    problem = await _problem(settings.url, settings.tls_ca)
    if problem:
        advice = (
            "is tracing.endpoint right, and is the collector running? Until then spans are dropped, and nothing else"
        )
        return [warning("tracing", f"{settings.url}: {problem}", advice)]
    return [ok("tracing", f"{settings.url} takes connections; {settings.ratio:.4g} of requests are traced")]


async def _problem(url: str, tls_ca: str = "") -> str:
    """Why nobody can be reached at a URL of http or https; empty when somebody can."""
    where = urlsplit(url)
    try:
        context: ssl.SSLContext | None = client_context(tls_ca) if where.scheme == "https" else None
        async with asyncio.timeout(REACH_WITHIN):
            port = where.port or (443 if context else 80)
            _, writer = await asyncio.open_connection(where.hostname, port, ssl=context)
        writer.transport.abort()
    except TimeoutError:
        return f"no answer within {REACH_WITHIN:.0f} s"
    except (BadTlsFile, OSError, ValueError) as problem:
        return explain(problem) or getattr(problem, "strerror", "") or str(problem) or type(problem).__name__
    return ""
