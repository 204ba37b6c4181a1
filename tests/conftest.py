"""What several test modules need: a cache of their own, and fonts that every environment has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where indexes of fonts and corpora go, so that the user's own cache stays as it is."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def own_cache(cache_folder: Path) -> Iterator[Path]:
    """The environment says that `cache_folder` is the cache, here and in processes started from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "SCRIPTORIUM_CACHE", str(cache_folder))
        yield cache_folder


@pytest.fixture(scope="session")
def dejavu() -> list[Path]:
    """Two text faces of DejaVu, which comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations))) / "mpl-data" / "fonts" / "ttf"
    return [folder / "DejaVuSans.ttf", folder / "DejaVuSerif-Bold.ttf"]
