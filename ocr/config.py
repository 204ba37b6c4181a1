"""The training configuration: strict, typed, with PaddleOCR's section and field names where the thing is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import yaml
from pydantic import Field, ValidationError, model_validator

from augment.errors import ScriptoriumError
from augment.pixel import CountRange, LengthRange
from ocr.spec import (
    ClsPostProcess,
    ClsPreprocess,
    Decoder,
    DetPostProcess,
    DetPreprocess,
    KindPostProcess,
    Preprocess,
    StylePreprocess,
)
from synth.data import data_file
from synth.strict import ConfigError, Section, explain, nearest, parse_yaml

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=1)]
_CountOrNone = Annotated[int, Field(ge=0)]


class Run(Section):
    """The run as a whole, whatever is trained."""

    name: str = Field("model", description="for people")
    save_model_dir: Path = Field(Path("output"), description="checkpoints, metrics and plots go here")
    epoch_num: _Count = Field(10, description="epochs to train")
    max_steps: _CountOrNone = Field(0, description="stop after so many steps, whatever epoch_num says; 0: no limit")
    max_minutes: _NotNegative = Field(
        0, description="stop (resumable) after so many minutes of this process; 0: no limit"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of weights, batches and augmentation")
    print_batch_step: _Count = Field(20, description="steps between two lines of metrics")
    eval_batch_step: tuple[_CountOrNone, _Count] = Field(
        (0, 2000), description="first step evaluated, and every so many"
    )
    save_epoch_step: _CountOrNone = Field(1, description="a checkpoint every so many epochs; 0: only by save_minutes")
    save_minutes: _Positive = Field(10, description="a checkpoint at least every so many minutes")
    keep_checkpoints: _Count = Field(3, description="checkpoints kept, beside the best")
    pretrained_model: Path | None = Field(
        None, description="checkpoint whose weights begin the run; matched by name and unit"
    )
    allow_partial: bool = Field(False, description="accept pretrained weights of which less than half match")
    checkpoints: Path | None = Field(None, description="checkpoint of an earlier run to go on from, with all its state")
    freeze: tuple[str, ...] = Field(
        (), description="beginnings of parameter names that stay as they are, such as backbone"
    )
    use_gpu: bool = Field(False, description="train on the GPU")
    use_amp: bool = Field(False, description="mixed precision in bfloat16; needs a GPU that has it")
    threads: _CountOrNone = Field(0, description="processor threads of the network; 0: all cores")
    processor_mend: bool = Field(True, description="let MKL use its fast path on AMD processors; see docs/training.md")


class Global(Run):
    """The run of a recogniser."""

    name: str = Field("recogniser", description="for people")
    save_model_dir: Path = Field(Path("output/rec"), description="checkpoints, metrics and plots go here")
    character_dict_path: Path = Field(description="dictionary, one unit per line")
    use_space_char: bool = Field(True, description="add the space to the dictionary")
    max_text_length: _Count = Field(25, description="units; longer labels are left out of training, counted")
    max_wh_ratio: _Positive = Field(10.0, description="width over height beyond which training leaves a picture out")


class DetGlobal(Run):
    """The run of a detector."""

    name: str = Field("detector", description="for people")
    save_model_dir: Path = Field(Path("output/det"), description="checkpoints, metrics and plots go here")


class ClsGlobal(Run):
    """The run of a direction classifier."""

    name: str = Field("direction", description="for people")
    save_model_dir: Path = Field(Path("output/cls"), description="checkpoints, metrics and plots go here")


class KindGlobal(Run):
    """The run of a classifier of kinds of lines."""

    name: str = Field("kind", description="for people")
    save_model_dir: Path = Field(Path("output/kind"), description="checkpoints, metrics and plots go here")


class StyleGlobal(Run):
    """The run of a network that gives texts another look."""

    name: str = Field("style", description="for people")
    save_model_dir: Path = Field(Path("output/style"), description="checkpoints, metrics and plots go here")


class LearningRate(Section):
    """The learning rate over the run."""

    name: Literal["Cosine", "Const"] = Field("Cosine", description="Cosine falls to zero, per step; Const stays")
    learning_rate: _Positive = Field(0.001, description="at its highest")
    warmup_epoch: _NotNegative = Field(0.0, description="epochs of linear rise; parts of one are allowed")


class Regularizer(Section):
    """Weight decay."""

    name: Literal["L2"] = Field("L2", description="added to the gradient by Adam and SGD, decoupled in AdamW")
    factor: _NotNegative = Field(1.0e-5, description="strength")


class Optimizer(Section):
    """How weights are updated."""

    name: Literal["Adam", "AdamW", "SGD"] = Field("Adam", description="Adam, AdamW or SGD (with momentum)")
    beta1: _Share = Field(0.9, description="Adam: decay of the first moment")
    beta2: _Share = Field(0.999, description="Adam: decay of the second moment")
    momentum: _Share = Field(0.9, description="SGD: momentum")
    lr: LearningRate = LearningRate()
    lr_factors: dict[str, _NotNegative] = Field(
        default_factory=dict, description="beginning of a parameter's name: factor on its learning rate"
    )
    regularizer: Regularizer = Regularizer()
    clip_norm: _NotNegative = Field(5.0, description="gradients longer than this are shortened to it; 0: never")
    ema_decay: _Share = Field(0.0, description="moving average of the weights, used for evaluation and export; 0: none")
    accumulate: _Count = Field(1, description="batches whose gradients make one step")


class Architecture(Section):
    """The network, in PaddleOCR's parts; `ocr.models` knows their names and keys."""

    model_type: Literal["rec"] = "rec"
    algorithm: str = Field("CRNN", description="CRNN, Rosetta or SVTR_LCNet")
    Backbone: dict[str, Any] = Field(description="name and its keys")
    Neck: dict[str, Any] = Field(default_factory=lambda: {"name": "SequenceEncoder", "encoder_type": "reshape"})
    Head: dict[str, Any] = Field(default_factory=lambda: {"name": "CTCHead"})


class DetArchitecture(Section):
    """A detector's network, in PaddleOCR's parts; `ocr.models` knows their names and keys."""

    model_type: Literal["det"] = "det"
    algorithm: Literal["DB", "PSE", "EAST"] = Field(
        "DB", description="DB (Liao et al., 2020), PSE (Wang et al., 2019) or EAST (Zhou et al., 2017)"
    )
    Backbone: dict[str, Any] = Field(description="name and its keys")
    Neck: dict[str, Any] = Field(description="name and its keys")
    Head: dict[str, Any] = Field(default_factory=dict, description="name (the algorithm's by default) and its keys")

    @model_validator(mode="after")
    def _head(self) -> DetArchitecture:
        if self.Head.setdefault("name", f"{self.algorithm}Head") != f"{self.algorithm}Head":
            raise ValueError(f"Head.name: {self.Head['name']} does not make {self.algorithm}; leave it out")
        return self


class ClassifierArchitecture(Section):
    """A classifier's network, in PaddleOCR's parts; `ocr.models` knows their names and keys."""

    model_type: Literal["cls", "kind"]
    algorithm: Literal["CLS"] = Field(
        "CLS", description="a recogniser's backbone, the mean of its features, a linear layer"
    )
    Backbone: dict[str, Any] = Field(description="of a recogniser: name and its keys")
    Head: dict[str, Any] = Field(default_factory=lambda: {"name": "ClsHead"})


class ClsArchitecture(ClassifierArchitecture):
    """A direction classifier's network."""

    model_type: Literal["cls"] = "cls"


class KindArchitecture(ClassifierArchitecture):
    """The network of a classifier of kinds of lines."""

    model_type: Literal["kind"] = "kind"


class StyleArchitecture(Section):
    """The networks that give texts another look; `ocr.models.style` knows their names and keys."""

    model_type: Literal["style"] = "style"
    algorithm: Literal["SRNet"] = Field("SRNet", description="Wu et al., 2019")
    Generator: dict[str, Any] = Field(default_factory=lambda: {"name": "SRNet"}, description="name and its keys")
    Discriminator: dict[str, Any] | None = Field(
        None, description="name and its keys, of both discriminators; null: no adversarial loss"
    )


class Loss(Section):
    """What training makes small."""

    name: Literal["CTCLoss"] = "CTCLoss"
    guide_weight: _NotNegative = Field(1.0, description="weight of the attention head's loss, where the head has one")


class DBLoss(Section):
    """The loss of differentiable binarization: alpha × shrunk + beta × border + binary map."""

    name: Literal["DBLoss"] = "DBLoss"
    alpha: _NotNegative = Field(5.0, description="weight of the shrunk texts' cross-entropy")
    beta: _NotNegative = Field(10.0, description="weight of the border's difference")
    ohem_ratio: _Positive = Field(3.0, description="pixels without text that count, the hardest, for each with text")


class ClsLoss(Section):
    """Cross-entropy of the classes."""

    name: Literal["ClsLoss"] = "ClsLoss"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of a class that is given to all (Szegedy et al., 2016)"
    )


class PSELoss(Section):
    """The loss of progressive scale expansion: λ × whole texts + (1 - λ) × shrunk ones."""

    name: Literal["PSELoss"] = "PSELoss"
    text_weight: _Share = Field(0.7, description="λ, the weight of the whole texts")
    ohem_ratio: _Positive = Field(3.0, description="pixels without text that count, the hardest, for each with text")


class EASTLoss(Section):
    """EAST's loss: score + geometry_weight × (overlap + angle_weight × angle)."""

    name: Literal["EASTLoss"] = "EASTLoss"
    geometry_weight: _NotNegative = Field(1.0, description="weight of the boxes")
    angle_weight: _NotNegative = Field(10.0, description="weight of their angle")
    ohem_ratio: _Positive = Field(3.0, description="pixels without text that count, the hardest, for each with text")


class Perceptual(Section):
    """Differences of what a recogniser sees; no weights come with the package."""

    model: Path = Field(description="a recogniser's run directory or checkpoint")
    content: _NotNegative = Field(1.0, description="weight of its features' difference")
    look: _NotNegative = Field(500.0, description="weight of the difference of their Gram matrices")


class StyleLoss(Section):
    """Weighed sum of differences, and of what discriminators and a recogniser see."""

    name: Literal["StyleLoss"] = "StyleLoss"
    text: _NotNegative = Field(1.0, description="letters without background, mean absolute difference")
    ink: _NotNegative = Field(1.0, description="coverage of the letters in the picture of the look, Dice")
    skeleton: _NotNegative = Field(1.0, description="middle lines of the new letters, Dice")
    mask: _NotNegative = Field(1.0, description="coverage of the new letters, Dice")
    background: _NotNegative = Field(10.0, description="background without text, mean absolute difference")
    fusion: _NotNegative = Field(10.0, description="the whole, mean absolute difference")
    letters: _NotNegative = Field(2.0, description="in text and fusion, how much more pixels of letters count")
    adversarial: _NotNegative = Field(1.0, description="what the discriminators see, where there are any")
    perceptual: Perceptual | None = Field(None, description="what a recogniser sees; null: none is asked")


class Metric(Section):
    """What evaluation compares."""

    name: Literal["RecMetric"] = "RecMetric"
    main_indicator: Literal["acc", "cer", "norm_edit_dis"] = Field(
        "acc", description="what the best checkpoint is best at"
    )
    fold_case: bool = Field(False, description="compare without regard to case")
    fold_punctuation: bool = Field(False, description="compare letters and digits only")
    ignore_space: bool = Field(False, description="compare without spaces")


class DetMetric(Section):
    """What the evaluation of a detector compares."""

    name: Literal["DetMetric"] = "DetMetric"
    main_indicator: Literal["hmean", "precision", "recall"] = Field(
        "hmean", description="what the best checkpoint is best at"
    )


class ClsMetric(Section):
    """What the evaluation of a direction classifier compares."""

    name: Literal["ClsMetric"] = "ClsMetric"
    main_indicator: Literal["acc", "upright"] = Field(
        "acc",
        description="acc: the likeliest direction is right; upright: the picture stands right after turning by thresh",
    )


class KindMetric(Section):
    """What the evaluation of a classifier of kinds of lines compares."""

    name: Literal["KindMetric"] = "KindMetric"
    main_indicator: Literal["acc", "chosen"] = Field(
        "acc", description="acc: the likeliest kind is right; chosen: and as probable as thresh"
    )


class StyleMetric(Section):
    """What the evaluation of a network that gives texts another look compares."""

    name: Literal["StyleMetric"] = "StyleMetric"
    main_indicator: Literal["ssim", "psnr"] = Field("ssim", description="what the best checkpoint is best at")


class SourceConfig(Section):
    """One source of labelled text images: a data set, a label file, a folder, or a recipe drawn while training."""

    name: str = Field(description="for counts and messages; unique")
    path: Path | None = Field(None, description="folder of LMDBs, label file (path TAB text) or folder with one")
    root: Path | None = Field(None, description="what a label file's paths start from; its own folder by default")
    recipe: str | None = Field(None, description="live source: a preset's name or a recipe file")
    corpus: tuple[Path, ...] = Field((), description="live source: text files")
    fonts: tuple[Path, ...] = Field((), description="live source: fonts")
    overrides: tuple[str, ...] = Field((), description="live source: section.key=value of the recipe")
    limit: _CountOrNone = Field(0, description="use only the first so many samples; 0: all")

    @model_validator(mode="after")
    def _one_kind(self) -> SourceConfig:
        if (self.path is None) == (self.recipe is None):
            raise ValueError("give either path (files) or recipe (drawn while training)")
        if self.path is not None and (self.corpus or self.fonts or self.overrides):
            raise ValueError("corpus, fonts and overrides belong to a recipe, not to a path")
        if self.recipe is not None and (self.root or self.limit):
            raise ValueError("root and limit belong to a path, not to a recipe")
        return self


class KindSource(SourceConfig):
    """A source whose lines are all of one kind."""

    label: str = Field("", description="the kind, one of PostProcess.label_list; the source's name by default")

    @property
    def kind(self) -> str:
        """Of all its lines."""
        return self.label or self.name


class Sampler(Section):
    """How batches are put together from the sources."""

    name: Literal["MixedBatch", "Ratio"] = Field(
        "MixedBatch", description="MixedBatch: exact counts in every batch; Ratio: shares of each source per epoch"
    )
    mix: dict[str, _Count] = Field(
        default_factory=dict, description="MixedBatch: parts of the batch by source, such as real: 5, synth: 1"
    )
    ratio_list: tuple[_NotNegative, ...] = Field(
        (),
        description="Ratio: share of each source per epoch, above 1 repeated; with epoch_size: of the epoch",
    )
    epoch_size: _CountOrNone = Field(
        0, description="samples per epoch; 0: one pass over the largest source, or as the ratios give"
    )
    easy_first: _CountOrNone = Field(
        0,
        description="MixedBatch: so many samples of each source of files begin its first pass narrow ones first, as in "
        "SortaGrad (Amodei et al., 2016): CTC finds its way sooner",
    )
    heights: tuple[Annotated[int, Field(ge=16, le=256, multiple_of=8)], ...] = Field(
        (), description="heights that batches take turns in, anew each epoch; none: the architecture's one"
    )


class Loader(Section):
    """Batches and the processes that prepare them."""

    batch_size_per_card: _Count = Field(64, description="pictures per batch and process")
    num_workers: _CountOrNone = Field(1, description="processes that prepare batches; 0: in the training process")
    prefetch: _Count = Field(4, description="batches prepared ahead")


class TrainData(Section):
    """What is trained on."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    sampler: Sampler = Sampler()
    augment: dict[str, Any] | None = Field(default_factory=dict, description="see docs/augment.md; null: none")
    loader: Loader = Loader()

    @model_validator(mode="after")
    def _names(self) -> TrainData:
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are named {name}; give each its own name")
        sampler = self.sampler
        for name in sampler.mix:
            if name not in names:
                raise ValueError(f"sampler.mix: no source {name}{nearest(name, names)}")
        if sampler.name == "MixedBatch":
            lacking = [name for name in names if name not in sampler.mix]
            if len(names) > 1 and lacking:
                example = ", ".join(f"{name}: {sampler.mix.get(name, 1)}" for name in names)
                raise ValueError(
                    f"sampler.mix: says nothing of source {lacking[0]}; give its part of the batch, such as "
                    f"Train.sampler.mix={{{example}}}"
                )
            if sampler.ratio_list:
                raise ValueError("sampler.ratio_list belongs to the sampler Ratio; MixedBatch has mix")
            parts = sum(sampler.mix.values())
            if parts and self.loader.batch_size_per_card % parts:
                raise ValueError(
                    f"loader.batch_size_per_card: {self.loader.batch_size_per_card} is not divisible by the "
                    f"{parts} parts of sampler.mix"
                )
        else:
            if sampler.mix:
                raise ValueError("sampler.mix belongs to the sampler MixedBatch; Ratio has ratio_list")
            if sampler.easy_first:
                raise ValueError("sampler.easy_first belongs to the sampler MixedBatch; Ratio shuffles each epoch")
            if len(sampler.ratio_list) != len(names):
                raise ValueError(f"sampler.ratio_list: {len(sampler.ratio_list)} ratios for {len(names)} sources")
            if not any(sampler.ratio_list):
                raise ValueError("sampler.ratio_list: all are zero")
            if any(source.recipe for source in self.sources):
                raise ValueError("sampler: a recipe has no end, so shares of it have no meaning; use MixedBatch")
        return self


class Crop(Section):
    """How training cuts squares out of pages."""

    size: Annotated[int, Field(ge=64, le=2048, multiple_of=32)] = Field(640, description="side of the squares, pixels")
    scale: tuple[_Positive, _Positive] = Field((0.5, 2.0), description="pages are scaled by a factor from this range")
    degrees: _NotNegative = Field(10.0, description="and turned by so much at most, either way")
    shrink_ratio: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.4, description="of the texts' shrunk cores, with PSE the smallest"
    )
    min_side: _NotNegative = Field(8.0, description="texts with a shorter side in the square are ignored")


class CopyPaste(Section):
    """Texts of other pages on free places of the squares."""

    p: _Share = Field(0.0, description="share of squares that get some; all of them from one page of the sources")
    count: CountRange = Field((1, 6), description="texts, fewer where there is no room")
    around: LengthRange = Field(
        (0.1, 0.8),
        description="what comes with a text, over its shorter side; it fades out and ends before other texts",
    )
    cover: _Share = Field(0.0, description="share of squares where they may cover texts, which are ignored then")


class DetTrainData(Section):
    """What a detector is trained on."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    sampler: Sampler = Sampler()
    crop: Crop = Crop()
    copy_paste: CopyPaste = CopyPaste()
    augment: dict[str, Any] | None = Field(default_factory=dict, description="pixel operations; null: none")
    loader: Loader = Loader(batch_size_per_card=8)

    @model_validator(mode="after")
    def _names(self) -> DetTrainData:
        for source in self.sources:
            if source.recipe is not None:
                raise ValueError(f"source {source.name}: a detector is trained on files, not on a recipe")
        TrainData(sources=self.sources, sampler=self.sampler, loader=self.loader)
        if self.sampler.easy_first or self.sampler.heights:
            raise ValueError("sampler: easy_first and heights are of recognisers alone")
        if self.crop.scale[0] > self.crop.scale[1]:
            raise ValueError("crop.scale: must be from the smaller to the larger factor")
        return self


class Views(Section):
    """How training takes views of pages."""

    squares: _Count = Field(4, description="of each page in a batch, each turned by itself")
    scale: tuple[_Positive, _Positive] = Field(
        (0.6, 1.4), description="pages are scaled as for prediction, times a factor from this range"
    )
    degrees: Annotated[float, Field(ge=0, le=30)] = Field(5.0, description="and squares turned by so much either way")
    whole: _Share = Field(0.2, description="share of views that show the page as a whole")


class ClassifierTrainData(Section):
    """What a classifier is trained on; the texts of labels are not looked at."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    sampler: Sampler = Sampler()
    augment: dict[str, Any] | None = Field(default_factory=dict, description="as for recognisers; null: none")
    loader: Loader = Loader()

    @model_validator(mode="after")
    def _names(self) -> Self:
        TrainData(sources=self.sources, sampler=self.sampler, loader=self.loader)
        if self.sampler.easy_first or self.sampler.heights:
            raise ValueError("sampler: easy_first and heights are of recognisers alone")
        if self.augment and "join" in self.augment:
            raise ValueError("augment.join: is for recognisers; leave it out")
        return self


class ClsTrainData(ClassifierTrainData):
    """What a direction classifier is trained on: upright pictures."""

    views: Views = Views()
    augment: dict[str, Any] | None = Field(
        default_factory=dict, description="as for lines (crop) or pixel operations (page); null: none"
    )

    @model_validator(mode="after")
    def _scale(self) -> ClsTrainData:
        if self.views.scale[0] > self.views.scale[1]:
            raise ValueError("views.scale: must be from the smaller to the larger factor")
        return self


class KindTrainData(ClassifierTrainData):
    """What a classifier of kinds of lines is trained on: sources of one kind each."""

    sources: tuple[KindSource, ...] = Field(min_length=1)


def _recipes_only(sources: tuple[SourceConfig, ...]) -> None:
    for source in sources:
        if source.recipe is None:
            raise ValueError(f"source {source.name}: pairs of texts in one look are drawn: give a recipe, not a path")


class StyleTrainData(Section):
    """What a network that gives texts another look is trained on: pairs of texts, drawn while it is trained."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    sampler: Sampler = Sampler()
    width: Annotated[int, Field(ge=32, le=2048, multiple_of=8)] = Field(
        128, description="pixels; wider pictures are cut at a random place, narrower ones go on as their mirror image"
    )
    loader: Loader = Loader(batch_size_per_card=16)

    @model_validator(mode="after")
    def _names(self) -> StyleTrainData:
        _recipes_only(self.sources)
        TrainData(sources=self.sources, sampler=self.sampler, loader=self.loader)
        if self.sampler.easy_first or self.sampler.heights:
            raise ValueError("sampler: easy_first and heights are of recognisers alone")
        return self


class StyleEvalData(Section):
    """What it is evaluated on: pairs of other streams than those of training."""

    sources: tuple[SourceConfig, ...] = ()
    pairs: _Count = Field(200, description="of each source")

    @model_validator(mode="after")
    def _recipes(self) -> StyleEvalData:
        _recipes_only(self.sources)
        return self


class EvalData(Section):
    """What is evaluated on; nothing is left out of it."""

    sources: tuple[SourceConfig, ...] = ()

    @model_validator(mode="after")
    def _files(self) -> EvalData:
        for source in self.sources:
            if source.recipe is not None:
                raise ValueError(f"source {source.name}: evaluation wants files, not a recipe")
        return self


class KindEvalData(EvalData):
    """What a classifier of kinds of lines is evaluated on."""

    sources: tuple[KindSource, ...] = ()


# Fields of `Config` have the names of their types, which pydantic cannot tell apart.
_Global = Global
_Architecture = Architecture
_Preprocess = Preprocess
_Optimizer = Optimizer
_Loss = Loss
_Metric = Metric


class _Whole(Section):
    """A configuration as one file holds it."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str = "configuration") -> Self:
        """A configuration from plain data; `where` begins the error messages. Raises ConfigError: see `load_config`."""
        try:
            return cls.model_validate({key: value for key, value in values.items() if value is not None})
        except ValidationError as error:
            raise ConfigError(explain(error, where, cls)) from None

    def to_yaml(self) -> str:
        """The configuration in full, as YAML."""
        text: str = yaml.safe_dump(self.model_dump(mode="json"), allow_unicode=True, sort_keys=False, width=120)
        return text


class Config(_Whole):
    """All that defines a training run, beside the files it names."""

    Global: _Global
    Architecture: _Architecture
    Preprocess: _Preprocess = Preprocess()
    Optimizer: _Optimizer = Optimizer()
    Loss: _Loss = Loss()
    PostProcess: Decoder = Decoder()
    Metric: _Metric = Metric()
    Train: TrainData
    Eval: EvalData = EvalData()

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Config:
        """Read the configuration of a recogniser. Arguments and errors: see `load_config`."""
        return cls.from_values(_values(path, overrides), str(path))


class DetConfig(_Whole):
    """All that defines the training of a detector, beside the files it names."""

    Global: DetGlobal = DetGlobal()
    Architecture: DetArchitecture
    Preprocess: DetPreprocess = DetPreprocess()
    Optimizer: _Optimizer = Optimizer()
    Loss: Annotated[DBLoss | PSELoss | EASTLoss, Field(discriminator="name")]
    PostProcess: DetPostProcess
    Metric: DetMetric = DetMetric()
    Train: DetTrainData
    Eval: EvalData = EvalData()

    @model_validator(mode="before")
    @classmethod
    def _of_the_algorithm(cls, values: Any) -> Any:
        """Sections that say nothing else are the algorithm's own."""
        architecture = values.get("Architecture") if isinstance(values, Mapping) else None
        algorithm = architecture.get("algorithm", "DB") if isinstance(architecture, Mapping) else "DB"
        if not isinstance(values, Mapping) or algorithm not in ("DB", "PSE", "EAST"):
            return values
        own: dict[str, Any] = {"Loss": f"{algorithm}Loss", "PostProcess": f"{algorithm}PostProcess"}
        given = {section: values.get(section) for section in own}
        filled = {
            section: {"name": name} | dict(given[section] or {})
            for section, name in own.items()
            if given[section] is None or isinstance(given[section], Mapping)
        }
        return {**values, **filled}

    @model_validator(mode="after")
    def _fit(self) -> DetConfig:
        algorithm = self.Architecture.algorithm
        for section in ("Loss", "PostProcess"):
            name = getattr(self, section).name
            if name != f"{algorithm}{section}":
                raise ValueError(f"{section}.name: {name} does not belong to {algorithm}; leave it out")
        return self


class ClsConfig(_Whole):
    """All that defines the training of a direction classifier, beside the files it names."""

    Global: ClsGlobal = ClsGlobal()
    Architecture: ClsArchitecture
    Preprocess: ClsPreprocess = ClsPreprocess()
    Optimizer: _Optimizer = Optimizer()
    Loss: ClsLoss = ClsLoss()
    PostProcess: ClsPostProcess = ClsPostProcess()
    Metric: ClsMetric = ClsMetric()
    Train: ClsTrainData
    Eval: EvalData = EvalData()

    @model_validator(mode="after")
    def _fit(self) -> ClsConfig:
        if self.Preprocess.kind == "crop" and {90, 270} & set(self.PostProcess.label_list):
            raise ValueError("PostProcess.label_list: crops stand at 0 or 180 degrees, for turn_ratio lays them down")
        if self.Preprocess.kind == "page" and any(source.recipe for source in self.Train.sources):
            raise ValueError("Train.sources: a recipe draws lines; pages come from files")
        return self


class KindConfig(_Whole):
    """All that defines the training of a classifier of kinds of lines, beside the files it names."""

    Global: KindGlobal = KindGlobal()
    Architecture: KindArchitecture
    Preprocess: ClsPreprocess = ClsPreprocess()
    Optimizer: _Optimizer = Optimizer()
    Loss: ClsLoss = ClsLoss()
    PostProcess: KindPostProcess
    Metric: KindMetric = KindMetric()
    Train: KindTrainData
    Eval: KindEvalData = KindEvalData()

    @model_validator(mode="after")
    def _fit(self) -> KindConfig:
        if self.Preprocess.kind != "crop":
            raise ValueError(f"Preprocess.kind: lines are looked at as crop, not as {self.Preprocess.kind}")
        labels = self.PostProcess.label_list
        for section, sources in (("Train", self.Train.sources), ("Eval", self.Eval.sources)):
            for source in sources:
                if source.kind not in labels:
                    raise ValueError(
                        f"{section}.sources: {source.name} is of kind {source.kind}, which is not in "
                        f"PostProcess.label_list{nearest(source.kind, labels)}"
                    )
        lacking = [label for label in labels if label not in {source.kind for source in self.Train.sources}]
        if lacking:
            raise ValueError(f"PostProcess.label_list: no source of Train.sources is of kind {lacking[0]}")
        return self


class StyleConfig(_Whole):
    """All that defines the training of a network that gives texts another look, beside the files it names."""

    Global: StyleGlobal = StyleGlobal()
    Architecture: StyleArchitecture
    Preprocess: StylePreprocess = StylePreprocess()
    Optimizer: _Optimizer = Optimizer()
    Loss: StyleLoss = StyleLoss()
    Metric: StyleMetric = StyleMetric()
    Train: StyleTrainData
    Eval: StyleEvalData = StyleEvalData()


AnyConfig: TypeAlias = Config | DetConfig | ClsConfig | KindConfig | StyleConfig

_KINDS: dict[Any, type[AnyConfig]] = {"det": DetConfig, "cls": ClsConfig, "kind": KindConfig, "style": StyleConfig}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> AnyConfig:
    """Read a configuration: of a detector, a direction classifier, a classifier of kinds of lines or a network that
    gives texts another look where `Architecture.model_type` is det, cls, kind or style, else of a recogniser.

    Args:
        path: a YAML file; or the name of one that comes with the package, such as configs/rec/crnn.yml.
        overrides: `Section.key=value`, the value in YAML; a number as a part of the key counts into a list.

    Raises:
        ConfigError: no such file, not YAML, or a key or value that does not fit; names the key.
    """
    values = _values(path, overrides)
    architecture = values.get("Architecture")
    task = architecture.get("model_type") if isinstance(architecture, dict) else None
    kind = _KINDS.get(task, Config) if isinstance(task, str) else Config
    return kind.from_values(values, str(path))


def _values(path: str | Path, overrides: Sequence[str]) -> dict[str, Any]:
    file = shipped(Path(path))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte offset {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give -c a configuration file") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of sections")
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise ConfigError(f"-o {override}: must be Section.key=value")
        _override(values, key.strip(), parse_yaml(value, f"-o {key}"))
    return values


def shipped(path: Path) -> Path:
    """A file of the user's; where there is none and the path begins with configs/, the package's own one."""
    if not path.is_file() and path.parts[:1] == ("configs",):
        with suppress(ScriptoriumError):
            return data_file(path.as_posix())
    return path


def _override(values: dict[str, Any], key: str, value: Any) -> None:
    """Set `Section.list.0.key`; parts below a list are positions in it."""
    *sections, last = key.split(".")
    at: Any = values
    for depth, part in enumerate(sections):
        at = at[_position(at, part, key)] if isinstance(at, list) else at.setdefault(part, {})
        if not isinstance(at, dict | list):
            raise ConfigError(f"-o {key}: {'.'.join(sections[: depth + 1])} is a value, not a section")
    at[_position(at, last, key) if isinstance(at, list) else last] = value


def _position(items: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise ConfigError(f"-o {key}: {part} is no position in a list of {len(items)}")
    return int(part)
