"""What the trainer asks of a task: everything that differs between recognition, detection and the like."""

from __future__ import annotations

import contextlib
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from ocr.config import Loader
from ocr.data.loader import Loader as BatchLoader
from ocr.data.loader import Plan, Prepare
from ocr.data.sources import FileSource, Source
from ocr.spec import AnySpec


class Batches(Protocol):
    """Batches in order, prepared ahead.

    Attributes:
        waited: seconds spent waiting for batches so far.
    """

    waited: float

    def __iter__(self) -> Iterator[Any]: ...


@dataclass
class Evaluation:
    """What an evaluation found.

    Attributes:
        figures: by name, such as acc and cer; of several data sets, `name/acc`.
        main: the figure that the best checkpoint is best at.
        higher_is_better: whether more of `main` is better.
    """

    figures: dict[str, float]
    main: float
    higher_is_better: bool = True
    details: Any = field(default=None, repr=False)


class Task(ABC):
    """A network, its data, its loss and its evaluation.

    Attributes:
        spec: what goes with the weights.
        model: the network, a `paddle.nn.Layer`.
        steps_per_epoch: batches in an epoch.
    """

    spec: AnySpec
    model: Any
    steps_per_epoch: int

    @abstractmethod
    def batches(self, start: int) -> AbstractContextManager[Batches]:
        """Training batches from number `start` on, without an end; batch i is the same whenever it is asked for."""

    @abstractmethod
    def loss(self, batch: Any) -> tuple[Any, int]:
        """The loss of a batch, averaged over its samples (a scalar tensor), and the number of samples."""

    @abstractmethod
    def keep(self, batch: Any, folder: Path) -> None:
        """Write a batch down for a look, after a loss that is not finite."""

    @abstractmethod
    def evaluate(self) -> Evaluation | None:
        """Evaluate the network as it is; None where there is nothing to evaluate on."""


@contextmanager
def prepared_ahead(
    plan: Plan, prepare: Prepare, sources: Sequence[Source], settings: Loader, start: int, log: Callable[[str], None]
) -> Iterator[Batches]:
    """Batches of a plan from number `start` on, prepared as `Train.loader` says; see `ocr.data.loader.Loader`."""
    names = [source.name for source in sources]
    sizes = [len(source) if isinstance(source, FileSource) else 0 for source in sources]
    workers, ahead = settings.num_workers, settings.prefetch
    with contextlib.closing(BatchLoader(plan, prepare, names, sizes, workers, ahead, start, log)) as batches:
        yield batches


def gathered(results: Mapping[str, Mapping[str, float]], kinds: Sequence[str]) -> dict[str, float]:
    """Figures of an evaluation: of several data sets each one's, as `name/kind`, and their mean; of one its own."""
    figures: dict[str, float] = {}
    for kind in kinds:
        values = [result[kind] for result in results.values()]
        if len(results) > 1:
            figures |= {f"{name}/{kind}": value for name, value in zip(results, values, strict=True)}
        figures[kind] = sum(values) / len(values)
    return figures


_LIBRARIES = ("scriptorium", "paddlepaddle", "paddlepaddle-gpu", "numpy", "opencv-python-headless")


def versions() -> dict[str, str]:
    """Of Python and the libraries that make a model what it is."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
