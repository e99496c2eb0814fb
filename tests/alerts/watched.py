"""Parts with real operations ports, scraped over HTTP, and MAGI's rules over what they say; the clock is the test's."""

import time
from collections.abc import Sequence

from magi.alerts.alert import Alert, Scrape, Target
from magi.alerts.evaluation import Evaluator
from magi.alerts.rules import load_rules
from magi.alerts.scraper import Scraper
from magi.telemetry.instruments import Source
from magi.telemetry.metric import Part
from magi.telemetry.registry import Registry
from magi.telemetry.server import OperationsServer
from tests.waiting import until

STEP = 15.0
"""Seconds between two scrapes, of the clock that the rules are given."""
MOST_STEPS = 40
"""Of a long time: then they are further apart, and still twice in the shortest window, 5 minutes."""


class Watched:
    """To be closed."""

    def __init__(self) -> None:
        self.now = time.time() - 3600  # a test may want to be at a certain moment of now
        self._evaluator = Evaluator(load_rules())
        self._scraper = Scraper(timeout=20.0)
        self._servers: dict[str, OperationsServer] = {}
        self._targets: dict[str, Target] = {}
        self.scraped: list[Scrape] = []

    async def show(self, part: Part, sources: Sequence[object], name: str = "") -> None:
        """Show the metrics of a part, from now on or instead of an earlier one of this `name`."""
        name = name or part
        await self.hide(name)
        found: list[Source] = [source for source in sources if hasattr(source, "metrics")]
        server = self._servers[name] = OperationsServer(Registry(part, found))
        # At the port that it had: to who scrapes it is the same part.
        port = int(self._targets[name].address.rpartition(":")[2]) if name in self._targets else 0
        found_port = await server.start("127.0.0.1", port)
        assert found_port
        self._targets[name] = Target(part, f"127.0.0.1:{found_port}")

    async def hide(self, name: str) -> None:
        """Nothing answers there any more, as if it had been killed."""
        if name in self._servers:
            await self._servers.pop(name).stop()

    async def forget(self, name: str) -> None:
        """It isn't scraped any more."""
        await self.hide(name)
        self._targets.pop(name)

    async def look(self, seconds: float = STEP) -> list[Alert]:
        """Scrape, and let `seconds` pass in which every scrape says the same; what there is in the end."""
        self.scraped = await self._scraper.scrape(self._targets.values())
        alerts: list[Alert] = []
        steps = max(1, min(MOST_STEPS, round(seconds / STEP)))
        for _ in range(steps):
            self.now += seconds / steps
            alerts = self._evaluator.observe(self.scraped, self.now)
        return alerts

    async def told(self, series: str, name: str = "") -> float:
        """The value of a series now, of one part or any, without any time passing; 0 when it isn't there."""
        targets = [self._targets[name]] if name else self._targets.values()
        for scrape in await self._scraper.scrape(targets):
            for line in (scrape.text or "").splitlines():
                if line.startswith(f"{series} "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    async def until_told(self, series: str, least: float, name: str = "") -> None:
        """Wait until a series has at least this value."""

        async def there() -> bool:
            return await self.told(series, name) >= least

        await until(there, f"{series} is {least}", 30)

    async def firing(self, seconds: float = STEP) -> set[str]:
        """The names of what fires after so many seconds."""
        return {alert.name for alert in await self.look(seconds) if alert.state == "firing"}

    async def fires(self, name: str, after: float = STEP, **labels: str) -> Alert:
        """The alert that fires after so many seconds. Raises AssertionError when it doesn't."""
        alerts = await self.look(after)
        found = [
            a for a in alerts if a.name == name and a.state == "firing" and labels.items() <= dict(a.labels).items()
        ]
        assert found, (name, [(a.name, a.state, a.labels, a.value) for a in alerts])
        return found[0]

    async def ends(self, name: str, after: float = STEP) -> None:
        """It neither fires nor is pending after so many seconds."""
        alerts = await self.look(after)
        assert name not in {alert.name for alert in alerts}, [a for a in alerts if a.name == name]

    async def close(self) -> None:
        for name in list(self._servers):
            await self.hide(name)
        await self._scraper.close()
