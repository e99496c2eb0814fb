"""Fixtures of the domain's tests: distributions that bring strategies with them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from magi.domain.strategies import registered

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install(source, name="module:attribute", …)``: a distribution on `sys.path`, as an installer leaves it.

    The module's name must be unique among all tests: Python imports a module once.
    """
    modules = set(sys.modules)

    def distribution(source: str, *, module: str, **entry_points: str) -> None:
        site = tmp_path / module
        metadata = site / f"{module}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = (f"{name} = {value}" for name, value in entry_points.items())
        (metadata / "entry_points.txt").write_text("\n".join(["[magi.strategies]", *lines, ""]))
        monkeypatch.syspath_prepend(site)
        registered.cache_clear()

    registered.cache_clear()
    yield distribution
    monkeypatch.undo()
    registered.cache_clear()
    for name in set(sys.modules) - modules:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
