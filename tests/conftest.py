"""What several test modules need: a cache of their own, fonts that every environment has, the command line."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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


@pytest.fixture(scope="module")
def one_scan() -> Iterator[None]:
    """Pipelines look for fonts once: reading what thousands of faces cover takes most of the time of small runs."""
    import synth.pipeline

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth.pipeline, "scan", cache(synth.pipeline.scan))
        yield


@pytest.fixture(scope="session")
def dejavu() -> list[Path]:
    """Two text faces of DejaVu, which comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations))) / "mpl-data" / "fonts" / "ttf"
    return [folder / "DejaVuSans.ttf", folder / "DejaVuSerif-Bold.ttf"]


@dataclass(frozen=True)
class Done:
    """What a command has said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr of a command that ended with 2 and said nothing else."""
        assert self.code == 2, self
        assert not self.out and self.err.endswith("\n") and self.err.count("\n") == 1, self
        return self.err.rstrip("\n")


@pytest.fixture(scope="module")
def synth(own_cache: Path) -> Callable[..., Done]:
    """Runs `synth` with some arguments in this process."""
    from synth.cli import main

    return _runner(main, "synth")


@pytest.fixture(scope="module")
def ocr(own_cache: Path) -> Callable[..., Done]:
    """Runs `ocr` with some arguments in this process."""
    from ocr.cli import main

    return _runner(main, "ocr")


def _runner(main: Any, name: str) -> Callable[..., Done]:
    def run(*args: object) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main.main([str(arg) for arg in args], prog_name=name)
                code: object = 0
            except SystemExit as end:
                code = end.code or 0
        assert isinstance(code, int)
        return Done(code, out.getvalue(), err.getvalue())

    return run
