"""The full check of a configuration's data before training: every record is read, every picture decoded."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from augment.errors import ScriptoriumError
from augment.training import TrainingAugment
from ocr import runtime
from ocr.config import Config
from ocr.data.index import BROKEN, EMPTY, NO_PATH, TOO_LONG, TOO_WIDE, UNKNOWN, Limits, too_many_broken
from ocr.data.sampler import Endless, MixedBatch, Passes, Stream, build_plan
from ocr.data.sources import BrokenSample, FileSource, Live, Sample, decode, nfc, open_source
from synth.report.dataset import FEW, RARE
from synth.report.summary import counted, shares, shown
from synth.text.charset import Charset

REASONS = (BROKEN, EMPTY, UNKNOWN, TOO_LONG, TOO_WIDE, NO_PATH)
"""Why a sample is left out, in the order in which that is looked for."""

COVERED = (0.8, 0.95)
"""Shares of the samples whose largest width and length are said."""

_DRAWN = 500  # samples of a recipe that are looked at
_AT_ONCE = 50  # drawn together
_EXAMPLES = 12  # records kept of each reason
_PAIRS = 20  # pictures named that are in training and in evaluation
_SHOWN = 20  # units named on a line
_FEW = 3  # records named on a line
_MANY = 0.1  # a warning is due where more of a source is left out


@dataclass(frozen=True)
class Example:
    """A record that something is said of.

    Attributes:
        index: in its source.
        key: names it for people.
        text: its raw label; empty where that cannot be read.
        why: what is wrong with it.
    """

    index: int
    key: str
    text: str
    why: str


@dataclass
class Examined:
    """What is known of one source.

    Attributes:
        part: "Train" or "Eval".
        source: see `open_source`.
        count: samples looked at: all of a data set, some of a recipe.
        usable: how many of them training takes; of an evaluation source, those that the network can read at all.
        drops: the others by reason, one of `REASONS`.
        examples: some of these, by reason.
        missing: characters that the dictionary lacks, and in how many labels.
        widths: how often each width comes, in pixels at the network's height; of all pictures that can be read.
        lengths: how often each length comes, in units; of all labels inside the dictionary.
        units: in how many usable labels each unit stands.
        labels: how many can be read.
        composed: how many of these are in NFC.
        edged: how many begin or end with a space.
        edges: some of these.
        digests: of the pictures' bytes, 64 bits each, in order; 0 for what cannot be read; none of a recipe.
    """

    part: str
    source: FileSource | Live
    count: int = 0
    usable: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    widths: Counter[int] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    labels: int = 0
    composed: int = 0
    edged: int = 0
    edges: list[Example] = field(default_factory=list)
    digests: array[int] = field(default_factory=lambda: array("Q"))

    @property
    def name(self) -> str:
        """Of the source."""
        return self.source.name

    @property
    def live(self) -> bool:
        """Whether it is a recipe drawn while training."""
        return isinstance(self.source, Live)

    def key(self, index: int) -> str:
        """What messages call a record of a source of files."""
        assert isinstance(self.source, FileSource)
        return self.source.key(index)

    def add(self, index: int, sample: Sample | BrokenSample, text: str | None, limits: Limits) -> None:
        """Count a sample.

        Args:
            index: in the source.
            sample: or what is wrong with it.
            text: the label; None where it cannot be read.
            limits: what is taken.
        """
        self.count += 1
        if text is not None:
            self._label(Example(index, sample.key, text, ""))
        if isinstance(sample, BrokenSample):
            self._drop(BROKEN, Example(index, sample.key, text or "", sample.reason))
            return
        self.widths[limits.preprocess.scaled_width(*sample.image.shape[:2])] += 1
        charset = limits.codec.charset
        label = nfc(sample.text)
        missing = charset.missing(label)
        self.missing.update(missing)
        if label and not missing:
            self.lengths[len(charset.split(label))] += 1
        try:
            classes = limits.classes(sample)
        except BrokenSample as error:
            reason = next(reason for reason in REASONS if error.reason.startswith(reason))
            self._drop(reason, Example(index, sample.key, sample.text, error.reason))
            return
        self.usable += 1
        self.units.update({charset.units[number - 1] for number in classes.tolist()})

    def _label(self, example: Example) -> None:
        self.labels += 1
        self.composed += nfc(example.text) == example.text
        if example.text != example.text.strip():
            self.edged += 1
            if len(self.edges) < _EXAMPLES:
                self.edges.append(example)

    def _drop(self, reason: str, example: Example) -> None:
        self.drops[reason] += 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < _EXAMPLES:
            kept.append(example)


@dataclass(frozen=True)
class Repeated:
    """Pictures that are in a training source and in an evaluation source, byte by byte.

    Attributes:
        train, evaluation: names of the sources.
        count: such records of the training source.
        pairs: names of the first ones in both.
    """

    train: str
    evaluation: str
    count: int
    pairs: list[tuple[str, str]]


@dataclass(frozen=True)
class Share:
    """What a source gives.

    Attributes:
        name: of the source.
        batch: samples in each batch; None where that differs from batch to batch.
        epoch: samples in an epoch.
        passes: how often a usable sample comes in an epoch; None for a recipe, which has no end.
    """

    name: str
    batch: int | None
    epoch: int
    passes: float | None


@dataclass
class Audit:
    """What an audit has found.

    Attributes:
        config: that was looked at.
        charset: its dictionary; None where that, or the network, cannot be made.
        examined: the sources, those of training first.
        shares: what the training sources give; empty where there are no batches.
        batches: in an epoch.
        repeated: pictures in training and in evaluation.
        errors: what would make training fail.
        warnings: what would make its result worse than need be.
    """

    config: Config
    charset: Charset | None = None
    examined: list[Examined] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    batches: int = 0
    repeated: list[Repeated] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def fatal(self) -> bool:
        """Whether training would fail."""
        return bool(self.errors)

    def coverage(self) -> dict[str, int | None]:
        """In how many training labels each unit of the dictionary stands; None where a recipe goes on drawing it.

        Rarest first. The space counts where it stands in some: it may be there by `use_space_char` alone.
        """
        if self.charset is None:
            return {}
        counts: Counter[str] = Counter()
        drawn: set[str] = set()
        for found in self.examined:
            if found.part == "Train" and found.live:
                drawn.update(found.units)
            elif found.part == "Train":
                counts.update(found.units)
        whole: dict[str, int | None] = {
            unit: None if unit in drawn else counts[unit] for unit in self.charset.units if unit != " " or counts[unit]
        }
        return dict(sorted(whole.items(), key=lambda item: math.inf if item[1] is None else item[1]))

    def text(self) -> str:
        """The findings as lines for the terminal."""
        lines = []
        if self.charset is not None:
            lines.append(line("units", f"{len(self.charset):,} in {self.charset.source}"))
        for found in self.examined:
            lines += self._described(found)
        if self.shares:
            lines += self._batches()
        lines += [line("warning", warning) for warning in self.warnings]
        lines += [line("error", error) for error in self.errors]
        if not self.errors and not self.warnings:
            lines.append(line("result", "nothing to mend"))
        return "\n".join(lines) + "\n"

    def _described(self, found: Examined) -> list[str]:
        taken = "can be trained on" if found.part == "Train" else "that the network can read"
        said = f"{found.name}: {found.usable:,} of {counted(found.count, 'sample')} {taken}"
        if found.live:
            said += ", others are drawn in the place of the rest"
        lines = [line(found.part.lower(), said)]
        for reason, count in found.drops.most_common():
            lines.append(line("", f"{count:10,} {reason}{_such(reason, found)}"))
        limits = self.config.Global
        height = self.config.Preprocess.height
        if found.widths:
            bound = f"; max_wh_ratio takes {limits.max_wh_ratio * height:.0f}" if found.part == "Train" else ""
            lines.append(line("", f"widths   {_covering(found.widths, 'px')} (at height {height}{bound})"))
        if found.lengths:
            bound = f" (max_text_length takes {limits.max_text_length})" if found.part == "Train" else ""
            lines.append(line("", f"lengths  {_covering(found.lengths, 'units')}{bound}"))
        if found.labels:
            other = found.labels - found.composed
            said = f"labels   all{f' but {other:,}' if other else ''} in NFC"
            if found.edged:
                named = ", ".join(example.key for example in found.edges[:_FEW])
                said += f"; {found.edged:,} begin or end with a space: {named}{_dots(found.edged, _FEW)}"
            lines.append(line("", said))
        return lines

    def _batches(self) -> list[str]:
        size = self.config.Train.loader.batch_size_per_card
        said = ", ".join(f"{share.name} {share.batch:,}" for share in self.shares if share.batch is not None)
        lines = [line("batch", f"{counted(size, 'picture')}{': ' if said else ''}{said}")]
        lines.append(line("epoch", counted(self.batches, "batch", "batches")))
        for share in self.shares:
            passes = "" if share.passes is None else f", each usable one {share.passes:.2f} times"
            lines.append(line("", f"{share.epoch:10,} of {share.name}{passes}"))
        return lines

    def write(self, output: Path) -> Path:
        """Write the findings as an HTML page; returns `output`. Raises ScriptoriumError: it cannot be written."""
        from ocr.report.audit import write_audit

        return write_audit(self, output)


def covering(counts: Counter[int], share: float) -> int:
    """The smallest value that is no less than those of a share of the samples."""
    needed = share * counts.total()
    so_far = 0
    for value in sorted(counts):
        so_far += counts[value]
        if so_far >= needed:
            return value
    raise ValueError("no samples")


def audit(config: Config) -> Audit:
    """Check the data of a configuration.

    What training leaves out is told by the same `Limits`; evaluation leaves nothing out, so there it is told what the
    network can never read. Memory does not grow with the data but for eight bytes a record.

    Args:
        config: see `Config`.
    """
    settings = config.Global
    runtime.start(settings.threads, settings.processor_mend)
    runtime.import_paddle()
    from ocr.engine.distributed import Group
    from ocr.tasks.rec import Recognition, open_training_source, training_limits

    found = Audit(config)
    try:
        task = Recognition(config, Group(), lambda line: None, data=False)
        if config.Train.augment is not None:
            TrainingAugment(config.Train.augment, "Train.augment")
    except ScriptoriumError as error:
        found.errors.append(str(error))
        return found
    found.charset = task.charset
    limits = training_limits(config, task.codec, task.spec.time_stride)
    # Evaluation reads whatever it is given, at the one height.
    any_size = replace(limits, max_text_length=2**31, max_wh_ratio=math.inf, least_height=config.Preprocess.height)
    streams: list[Stream] = []
    for number in range(len(config.Train.sources)):
        examined = _examined(found, "Train", partial(open_training_source, config, number), limits)
        if examined is not None:
            streams.append(_stream(examined, number))
    for source_config in config.Eval.sources:
        _examined(found, "Eval", partial(open_source, source_config), any_size)
    if len(streams) == len(config.Train.sources):
        _plan(found, streams)
    found.repeated = repeated(found.examined)
    _judge(found)
    return found


def _examined(audit: Audit, part: str, opened: Callable[[], FileSource | Live], limits: Limits) -> Examined | None:
    """Look at all of a source; None where it cannot be trained on."""
    try:
        source = opened()
        found = Examined(part, source)
        if isinstance(source, Live):
            _draw(found, source, limits)
        else:
            _read(found, source, limits)
    except ScriptoriumError as error:
        audit.errors.append(str(error))
        return None
    audit.examined.append(found)
    broken = found.drops[BROKEN]
    if part == "Train" and not found.usable:
        most = found.drops.most_common(1)[0][0]
        audit.errors.append(f"source {source.name}: none of its samples can be trained on (mostly: {most})")
        return None
    if part == "Train" and too_many_broken(broken, found.count):
        audit.errors.append(
            f"source {source.name}: {broken:,} of {found.count:,} records are broken; more than 1 % is too many: mend "
            "the data, or make it anew"
        )
        return None
    return found


def _read(found: Examined, source: FileSource, limits: Limits) -> None:
    for index in tqdm(range(len(source)), desc=f"audit {source.name}", unit="", leave=False, disable=None):
        text, digest = None, 0
        sample: Sample | BrokenSample
        try:
            data, text = source.raw(index)
            sample = Sample(decode(data, source.key(index)), text, source.key(index))
            digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
        except BrokenSample as error:
            sample = error
        found.digests.append(digest)
        found.add(index, sample, text, limits)
    source.close()


def _draw(found: Examined, source: Live, limits: Limits) -> None:
    with tqdm(total=_DRAWN, desc=f"audit {source.name}", unit="", leave=False, disable=None) as bar:
        for start in range(0, _DRAWN, _AT_ONCE):
            indexes = range(start, start + _AT_ONCE)
            for index, sample in zip(indexes, source.samples(indexes), strict=True):
                found.add(index, sample, sample.text, limits)
            bar.update(_AT_ONCE)


def _stream(found: Examined, number: int) -> Stream:
    """Of the source's length: how batches are shared out depends on nothing else."""
    if found.live:
        return Endless(lambda index: 1)
    return Passes(np.broadcast_to(np.int64(0), found.usable), np.broadcast_to(np.int64(0), found.usable), 0, number)


def _plan(audit: Audit, streams: Sequence[Stream]) -> None:
    config = audit.config
    training = [found for found in audit.examined if found.part == "Train"]
    try:
        plan = build_plan(
            config.Train.sampler,
            [found.name for found in training],
            streams,
            config.Train.loader.batch_size_per_card,
            config.Preprocess.height,
            config.Global.seed,
        )
    except ScriptoriumError as error:
        audit.errors.append(str(error))
        return
    audit.batches = plan.steps_per_epoch
    for number, found in enumerate(training):
        batch: int | None = None
        if isinstance(plan, MixedBatch):
            batch = plan.counts[number]
            epoch = batch * plan.steps_per_epoch
        else:
            epoch = plan.shares[number]
        audit.shares.append(Share(found.name, batch, epoch, None if found.live else epoch / found.usable))


class Digested(Protocol):
    """A source of which the pictures' digests are known; see `Examined`."""

    part: str
    digests: array[int]

    @property
    def name(self) -> str:
        """Of the source."""
        ...

    @property
    def live(self) -> bool:
        """Whether it is a recipe drawn while training."""
        ...

    def key(self, index: int) -> str:
        """What messages call a record."""
        ...


def repeated(examined: Sequence[Digested]) -> list[Repeated]:
    """Find pictures that are in training and in evaluation."""
    found_all = []
    for evaluation in examined:
        if evaluation.part == "Train":
            continue
        theirs = np.array(evaluation.digests, np.uint64)
        order = np.argsort(theirs)
        for train in examined:
            if train.part != "Train" or train.live:
                continue
            mine = np.array(train.digests, np.uint64)
            same = np.flatnonzero(np.isin(mine, theirs) & (mine != 0))
            if not len(same):
                continue
            there = order[np.searchsorted(theirs, mine[same[:_PAIRS]], sorter=order)]
            pairs = [
                (train.key(one), evaluation.key(other))
                for one, other in zip(same[:_PAIRS].tolist(), there.tolist(), strict=True)
            ]
            found_all.append(Repeated(train.name, evaluation.name, len(same), pairs))
    return found_all


def _judge(audit: Audit) -> None:
    """Say what lowers the result."""
    warnings = audit.warnings
    for found in audit.examined:
        left_out = found.drops.total()
        if found.part == "Eval" and left_out:
            warnings.append(
                f"source {found.name}: {counted(left_out, 'sample')} count as read wrongly, whatever is learnt "
                f"(mostly: {found.drops.most_common(1)[0][0]})"
            )
        elif found.part == "Train" and left_out > _MANY * found.count:
            warnings.append(
                f"source {found.name}: training leaves out {_percent(left_out, found.count)} "
                f"(mostly: {found.drops.most_common(1)[0][0]})"
            )
        if found.edged:
            warnings.append(
                f"source {found.name}: {counted(found.edged, 'label')} with a space at an end, which no picture shows; "
                "take them off"
            )
    for same in audit.repeated:
        mine, theirs = same.pairs[0]
        warnings.append(
            f"{counted(same.count, 'picture')} of {same.train} are in {same.evaluation}, too, whose figures they "
            f"flatter, such as {mine}, there {theirs}"
        )
    known = {unit: count for unit, count in audit.coverage().items() if count is not None}
    never = {unit: count for unit, count in known.items() if not count}
    rare = {unit: count for unit, count in known.items() if 0 < count < RARE}
    few = {unit: count for unit, count in known.items() if RARE <= count < FEW}
    if never:
        named = " ".join(shown(unit) for unit in list(never)[:_SHOWN]) + _dots(len(never), _SHOWN)
        warnings.append(f"{counted(len(never), 'unit')} of the dictionary in no training picture: {named}")
    if rare:
        warnings.append(
            f"{counted(len(rare), 'unit')} in fewer than {RARE} training pictures, too few for a usable model: "
            f"{_units(rare)}"
        )
    if few:
        warnings.append(
            f"{counted(len(few), 'unit')} in fewer than {FEW} training pictures, which fine-tuning wants: {_units(few)}"
        )


def line(key: str, text: str) -> str:
    """A line for the terminal: a word that says what it is of, and the rest."""
    return f"{key:<9}{text}"


def _units(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{shown(unit)} ({count:,})" for unit, count in islice(counts.items(), _SHOWN))
    return named + (", …" if len(counts) > _SHOWN else "")


def _dots(count: int, most: int) -> str:
    return ", …" if count > most else ""


def _such(reason: str, found: Examined) -> str:
    """Names for a line about a reason."""
    if reason == UNKNOWN:
        return f": {_units(dict(found.missing.most_common()))}"
    named = found.examples[reason][:_FEW]
    if reason == BROKEN:
        return ": " + "; ".join(f"{example.key} ({example.why})" for example in named)
    return f", such as {named[0].key}"


def _covering(counts: Counter[int], unit: str) -> str:
    parts = [f"{share:.0%} up to {covering(counts, share):,}".replace("%", " %") for share in COVERED]
    return f"{', '.join(parts)}, all up to {max(counts):,} {unit}"


def _percent(part: int, whole: int) -> str:
    return shares({"": part}, whole)[0][2]
