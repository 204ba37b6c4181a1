"""The recipe: strict, typed sections, to and from YAML, presets by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator

from augment.pixel import Degrade, LengthRange, PositiveRange, QualityRange, ShareRange, dump_ops, known_ops, parse_ops
from synth.data import data_file
from synth.pages.settings import Page, Scene
from synth.strict import ConfigError, Section, explain, nearest, parse_yaml, set_key

RecipeError = ConfigError


def _ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    if pair[0] > pair[1]:
        raise ValueError(f"a range goes from low to high, not {list(pair)}")
    return pair


def _checked_ops(mapping: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dump_ops(parse_ops(mapping))


def _storable(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError("a name that is not UTF-8 cannot be kept in a recipe; rename it") from None
    return path


Named = Annotated[Path, AfterValidator(_storable)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
# Bounds are where a value stops making sense, or would take memory without end.
_Grey = Annotated[float, Field(ge=0, le=255)]
_Signed = Annotated[float, Field(ge=-1, le=1)]
_Factor = Annotated[float, Field(ge=0.1, le=10)]
_Size = Annotated[float, Field(ge=0.1, le=4)]
_Stroke = Annotated[float, Field(ge=-0.25, le=0.25)]
_Ring = Annotated[float, Field(ge=0, le=0.25)]
_MarginX = Annotated[float, Field(ge=-1, le=10)]
# What two margins leave for the text is never nothing.
_MarginY = Annotated[float, Field(ge=-0.5, le=0.45)]
# Beyond it, the corners of a line seen from the side may change places.
_CornerShift = Annotated[float, Field(ge=0, le=0.3)]
_Degrees = Annotated[float, Field(ge=-180, le=180)]
_Count = Annotated[int, Field(ge=0, le=1000)]
GreyRange = Annotated[tuple[_Grey, _Grey], AfterValidator(_ordered)]
SignedRange = Annotated[tuple[_Signed, _Signed], AfterValidator(_ordered)]
FactorRange = Annotated[tuple[_Factor, _Factor], AfterValidator(_ordered)]
CountRange = Annotated[tuple[_Count, _Count], AfterValidator(_ordered)]
_Sizes = Annotated[tuple[_Size, _Size], AfterValidator(_ordered)]
_Strokes = Annotated[tuple[_Stroke, _Stroke], AfterValidator(_ordered)]
_Rings = Annotated[tuple[_Ring, _Ring], AfterValidator(_ordered)]
_MarginsX = Annotated[tuple[_MarginX, _MarginX], AfterValidator(_ordered)]
_MarginsY = Annotated[tuple[_MarginY, _MarginY], AfterValidator(_ordered)]
_CornerShifts = Annotated[tuple[_CornerShift, _CornerShift], AfterValidator(_ordered)]
_Angles = Annotated[tuple[_Degrees, _Degrees], AfterValidator(_ordered)]
_Slack = Annotated[float, Field(ge=0, le=0.1)]
_Place = Annotated[float, Field(ge=-1e6, le=1e6)]
_Controls = Annotated[tuple[tuple[_Place, _Place], ...], Field(min_length=4, max_length=4)]
Kind = Literal[
    "flat", "paper", "gradient", "grain", "cloth", "stains", "wall", "ruled", "squared", "clutter", "pictures"
]


class CorpusFile(Section):
    """One text file, UTF-8, one text per line or, in a table, per field between tabs."""

    path: Named
    weight: Weight = 1.0
    piece: Literal["line", "word", "words"] | None = Field(None, description="overrides corpus.piece for this file")


class TemplatePattern(Section):
    r"""A pattern such as `\d{2}/\d{2}/\d{4}` and how often it is used among the templates."""

    pattern: str
    weight: Weight = 1.0


def _expanded(templates: Any) -> Any:
    """Patterns, with those of a file in the place of its name."""
    if isinstance(templates, str):
        templates = (templates,)
    if not isinstance(templates, list | tuple):
        return templates
    return [pattern for item in templates for pattern in (_read_templates(item) if isinstance(item, str) else (item,))]


def _read_templates(source: str) -> list[Any]:
    path = Path(source)
    if path.suffix not in (".yml", ".yaml"):
        shipped = data_file("corpora/templates")
        path = shipped / f"{source}.yml"
        if not path.is_file():
            names = sorted(file.stem for file in shipped.glob("*.yml"))
            raise ValueError(f"templates {source!r} are unknown{nearest(source, names)}; a file's name ends in .yml")
    try:
        patterns = parse_yaml(path.read_text(encoding="utf-8-sig"), str(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte offset {error.start}; save it as UTF-8") from None
    except ConfigError as error:
        raise ValueError(str(error)) from None
    if not isinstance(patterns, list):
        raise ValueError(f"{path}: a file of templates is a list of patterns, such as - {{pattern: '\\d{{4}}'}}")
    for number, pattern in enumerate(patterns, 1):
        if not isinstance(pattern, dict):
            raise ValueError(f"{path}: entry {number}: should be a pattern such as {{pattern: '\\d{{4}}'}}")
        try:
            TemplatePattern.model_validate(pattern)
        except ValidationError as error:
            raise ValueError(explain(error, f"{path}: entry {number}", TemplatePattern)) from None
    return patterns


class Case(Section):
    """Weights of the case variants; scripts without case are left as they are."""

    as_is: Weight = Field(1.0, description="as the corpus has it")
    lower: Weight = Field(0.0, description="all small")
    upper: Weight = Field(0.0, description="all capitals")
    title: Weight = Field(0.0, description="each word with a capital first")


class Corpus(Section):
    """Where texts come from, and how they are cut."""

    files: tuple[CorpusFile, ...] = Field((), description="text files: path, and if wanted weight and piece")
    piece: Literal["line", "word", "words"] = Field("word", description="what one sample shows: line, word or words")
    words: CountRange = Field((1, 4), description="words in a piece, for piece: words")
    length: CountRange = Field((1, 25), description="units in a label; longer pieces are cut at unit boundaries")
    join: Share = Field(0.0, description="share of pieces joined to a second one without a space")
    cut: Share = Field(0.0, description="share of pieces cut to a random part of themselves")
    case: Case = Case()
    templates: Annotated[tuple[TemplatePattern, ...], BeforeValidator(_expanded)] = Field(
        (), description="patterns for numbers, dates, prices, codes; or plates, meters, codes, forms, or a file of them"
    )
    template_share: Share = Field(0.0, description="share of samples drawn from the templates")
    digits: str = Field("0123456789", description="what \\d means in templates, ten characters")
    balance: Literal["none", "sqrt", "uniform"] = Field(
        "none", description="how strongly rare characters are favoured: none, sqrt or uniform"
    )
    unit: Literal["codepoint", "grapheme", "akshara"] = Field(
        "grapheme", description="what labels are cut into without a charset: codepoint, grapheme or akshara"
    )
    charset: Named | None = Field(None, description="dictionary, one unit per line; texts with others are dropped")
    min_per_unit: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="texts are planned so that each unit of the charset is written so often; 0: no plan"
    )
    plan_span: Annotated[int, Field(ge=0, le=10**12)] = Field(
        0, description="samples among which the planned ones are spread; 0: as many as the plan has"
    )
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] | None = Field(
        None, description="BCP 47 language for shaping, such as sr or ur"
    )
    direction: Literal["auto", "ltr", "rtl"] = Field(
        "auto", description="base direction of a line (UAX #9): auto, ltr or rtl"
    )


class Fonts(Section):
    """Which fonts draw the texts."""

    paths: tuple[Named, ...] = Field((), description="fonts and folders of fonts; none: all that the machine has")
    families: tuple[str, ...] = Field((), description="families to use, by name, as far as they are there; none: all")
    exclude: tuple[str, ...] = Field((), description="families left out, by name")
    fallback: bool = Field(True, description="let a second face draw what the first lacks")
    variations: Annotated[int, Field(ge=0, le=32)] = Field(6, description="random cuts of each variable font")


class Handwriting(Section):
    """Lines stitched from images of single characters."""

    chars: tuple[Named, ...] = Field((), description="stores made by `synth handwriting import`; none: no handwriting")
    weight: Share = Field(1.0, description="share of samples that are stitched; fonts draw the others")
    missing: tuple[Literal["case", "compose", "font"], ...] = Field(
        ("case", "compose", "font"),
        description="what stands in for a missing class, in order: the other case, base and mark, a font that looks "
        "written; texts with others are refused",
    )
    joined: Literal["refuse", "isolated"] = Field(
        "refuse", description="texts whose letters should join (Arabic, Syriac, ...): refused, or in isolated letters"
    )
    suspects: bool = Field(False, description="use characters that look cut off or like another class")
    reference: Named | None = Field(
        None, description="font that sizes and places are taken from; none: a plain one of those in `fonts`"
    )
    fonts: tuple[Named, ...] = Field(
        (), description="fonts for missing classes; none: those in `fonts` that look written by hand"
    )
    gap: SignedRange = Field((0.02, 0.12), description="between the contours of neighbouring letters, em")
    space: ShareRange = Field((0.25, 0.5), description="width of a space, em")
    rise: Share = Field(0.025, description="standard deviation of a letter's rise, em")
    drift: Share = Field(0.03, description="standard deviation of a slow rise and fall of the baseline, em")
    size: Share = Field(0.05, description="standard deviation of a letter's size, as a factor")
    slant: Share = Field(0.04, description="standard deviation of a letter's slant, tangent")
    pressure: ShareRange = Field((0.0, 0.35), description="how much paler strokes are where the pen is light")
    flow: ShareRange = Field((0.0, 0.25), description="how much paler they are where the ink runs thin")


class Styles(Section):
    """Looks of real crops (`synth style extract`) for new text: shape, strokes, colours, ground, sharpness."""

    stores: tuple[Named, ...] = Field((), description="stores made by `synth style extract`; none: no styles")
    weight: Share = Field(1.0, description="share of samples in a style; the others, and plain ones, look as ever")
    vary: Share = Field(0.3, description="how far samples go around what was measured; 0: not at all")
    face: Share = Field(
        0.5, description="share drawn with the face nearest to the crop's own, where that is known and has the letters"
    )
    long: Literal["joined", "extended"] = Field(
        "joined",
        description="ground of texts longer than the crop's: joined (a copy for each piece, cut between units), or "
        "extended by its own texture",
    )
    degrade: Share = Field(0.0, description="share of samples in a style that `degrade` goes over as well")
    model: Named | None = Field(
        None, description="trained network that makes all samples in the styles (`ocr train`); none: they are drawn"
    )

    @model_validator(mode="after")
    def _of_some_store(self) -> Styles:
        # 0 and 1, the default, are what dumped recipes without styles say.
        if not self.stores and self.weight not in (0.0, 1.0):
            raise ValueError("weight: there are no styles to weigh; give styles.stores (--styles STORE)")
        if self.model is not None:
            if not self.stores:
                raise ValueError("model: there are no styles for it; give styles.stores (--styles STORE)")
            if self.weight != 1:
                raise ValueError("weight: a network makes all samples; leave it at 1, and mix data sets in training")
        return self


class Vertical(Section):
    """Lines set from top to bottom, as UAX #50 has it; single units stay as they are."""

    p: Share = Field(0.0, description="share of samples")
    rotate: Literal["ccw", "none"] = Field(
        "ccw",
        description="ccw: turned 90° counter-clockwise, layout.height high; none: left as columns so many pixels wide",
    )
    combined: Share = Field(0.5, description="share of vertical lines with short numbers, !! and !? side by side")
    digits: Annotated[int, Field(ge=1, le=4)] = Field(2, description="most digits set side by side")
    stacked: Share = Field(
        0.1, description="share with upright Latin, Greek, Cyrillic (...) letters and digits, one below the other"
    )


def _uncrossed(controls: tuple[_Controls, ...]) -> tuple[_Controls, ...]:
    from synth.render.path import cubic

    for number, points in enumerate(controls, 1):
        try:
            cubic(points, 1.0)
        except ValueError as error:
            raise ValueError(f"curve {number}: {error}") from None
    return controls


class CurvedLine(Section):
    """Lines along a curve, each letter turned by itself; those whose letters join are bent whole."""

    p: Share = Field(0.0, description="share of samples; single units stay straight")
    kinds: dict[Literal["arc", "circle", "wave", "free"], Weight] = Field(
        {"arc": 0.5, "wave": 0.25, "free": 0.25}, description="weights of arc, circle, wave and free (a cubic curve)"
    )
    rise: LengthRange = Field((0.2, 1.2), description="of an arc's middle over its ends, and of free curves, em")
    radius: PositiveRange = Field((2.5, 5.0), description="of circles, em")
    amplitude: LengthRange = Field((0.06, 0.3), description="of waves, em")
    wavelength: PositiveRange = Field((4.0, 9.0), description="em")
    controls: Annotated[tuple[_Controls, ...], AfterValidator(_uncrossed)] = Field(
        (), description="four points (x, y) for each free curve, y downwards, in any unit; none: random ones"
    )
    valley: Share = Field(0.35, description="share of arcs, circles and free curves that are bent the other way")
    tightest: Annotated[float, Field(ge=1, le=100)] = Field(
        2.0, description="least radius, em: curves that are tighter are flattened"
    )
    smallest: Annotated[float, Field(gt=0, le=1)] = Field(
        0.6, description="to what part of its size a text shrinks that is longer than its circle, before it is refused"
    )
    unwrap: bool = Field(False, description="straightened by the line's polygon, as crops are before they are read")
    slack: _Slack = Field(0.02, description="standard deviation of that polygon's points, em")

    @model_validator(mode="after")
    def _some_kind(self) -> CurvedLine:
        if not any(self.kinds.values()):
            raise ValueError("kinds: no kind of curve has a weight above zero")
        return self


class SealLine(Section):
    """Lines as stamps print them: on a ring, or in a box."""

    p: Share = Field(0.0, description="share of samples; single units stay ordinary lines")
    shapes: dict[Literal["round", "oval", "square"], Weight] = Field(
        {"round": 0.6, "oval": 0.2, "square": 0.2}, description="weights of round, oval and square"
    )
    radius: PositiveRange = Field((2.2, 4.0), description="of the ring that the text is on, em")
    ratio: FactorRange = Field((1.15, 1.6), description="width over height of ovals")
    valley: Share = Field(0.2, description="share of ring texts that stand at the bottom, read from inside")
    spread: ShareRange = Field((0.35, 0.8), description="of the ring that short texts are spaced out to")
    smallest: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="to what part of its size a text shrinks that is longer than the ring, before it is refused"
    )
    star: Share = Field(0.4, description="share of rings with a star in the middle")
    lines: CountRange = Field((0, 2), description="other lines of text within, or in the same box")
    opposite: Share = Field(0.3, description="share of rings with another text on the other side, where it fits")
    border: Share = Field(0.95, description="share with a border")
    double: Share = Field(0.5, description="share of borders that are double")
    twice: Share = Field(0.1, description="share stamped twice, the second time paler and a little beside the first")
    over: Share = Field(0.25, description="share stamped over other text")
    colours: dict[Literal["red", "blue", "violet", "black"], Weight] = Field(
        {"red": 0.65, "blue": 0.2, "violet": 0.15}, description="weights of red, blue, violet and black"
    )
    unwrap: bool = Field(True, description="the text straightened, with what is beside it; else the whole seal")
    slack: _Slack = Field(0.02, description="standard deviation of the points of the polygon for that, em")

    @model_validator(mode="after")
    def _some_shape(self) -> SealLine:
        for key in ("shapes", "colours"):
            if not any(getattr(self, key).values()):
                raise ValueError(f"{key}: none has a weight above zero")
        return self


class Layout(Section):
    """How a line is set and how tightly it is cut out."""

    height: Annotated[int, Field(ge=8, le=256)] = Field(32, description="image height in pixels")
    size: _Sizes = Field(
        (0.95, 1.25), description="size at which glyphs are drawn, em over image height, before the fit"
    )
    spacing: SignedRange = Field(
        (0.0, 0.0), description="letter spacing in em, where the script's letters do not connect"
    )
    spacing_share: Share = Field(0.0, description="share of samples with letter spacing")
    jitter_share: Share = Field(0.0, description="share of samples whose letters vary in height and size")
    jitter_rise: Share = Field(0.03, description="standard deviation of a letter's rise, em")
    jitter_size: Share = Field(0.03, description="standard deviation of a letter's size, as a factor")
    margin_x: _MarginsX = Field((0.05, 0.3), description="left and right margins over image height; negative clips")
    margin_y: _MarginsY = Field((0.05, 0.15), description="top and bottom margins over image height; negative clips")
    max_ratio: Annotated[float, Field(gt=0, le=1000)] = Field(
        60.0, description="width over height beyond which images are refused"
    )
    vertical: Vertical = Vertical()
    curve: CurvedLine = CurvedLine()
    seal: SealLine = SealLine()


class Outline(Section):
    """A stroke around the letters."""

    p: Share = Field(0.0, description="share of samples")
    width: _Rings = Field((0.02, 0.06), description="em")
    hollow: Share = Field(0.2, description="share of outlines whose letters are filled with the background's colour")


class Shadow(Section):
    """A drop shadow."""

    p: Share = Field(0.0, description="share of samples")
    offset: ShareRange = Field((0.02, 0.09), description="em")
    blur: ShareRange = Field((0.0, 0.06), description="standard deviation, em")
    strength: ShareRange = Field((0.3, 0.9), description="opacity, 0 to 1")


class Extrusion(Section):
    """Letters with a visible side."""

    p: Share = Field(0.0, description="share of samples")
    depth: ShareRange = Field((0.03, 0.1), description="em")


class Worn(Section):
    """Ink that has dropped out or worn off."""

    p: Share = Field(0.0, description="share of samples")
    amount: ShareRange = Field((0.1, 0.5), description="share of the ink's surface touched")


class Textured(Section):
    """Letters filled with a texture or a gradient."""

    p: Share = Field(0.0, description="share of samples")
    strength: ShareRange = Field((0.2, 0.7), description="1: from black to white")


class InkSection(Section):
    """The ink itself."""

    weight: _Strokes = Field((0.0, 0.0), description="growth of the strokes on either side, em; negative thins")
    weight_share: Share = Field(0.0, description="share of samples whose strokes grow or thin")
    opacity: ShareRange = Field((1.0, 1.0), description="1: nothing shows through")
    multiply: Share = Field(0.0, description="share of samples printed through (multiplied) instead of painted over")
    underline: Share = Field(0.0, description="share of samples with a line under the text")
    outline: Outline = Outline()
    shadow: Shadow = Shadow()
    extrusion: Extrusion = Extrusion()
    emboss: Share = Field(0.0, description="share of samples with lit and shaded edges")
    worn: Worn = Worn()
    textured: Textured = Textured()


class Surroundings(Section):
    """What else a crop shows: never more of it than a part, so that the label stays whole."""

    above: Share = Field(0.0, description="share of samples with part of a line above")
    below: Share = Field(0.0, description="share of samples with part of a line below")
    beside: Share = Field(0.0, description="share of samples with part of a word before or after")
    rule: Share = Field(0.0, description="a ruled line near the text's top or bottom, or a box's side")


class Background(Section):
    """What the text stands on."""

    paths: tuple[Named, ...] = Field(
        (), description="pictures and folders of them; half of all surfaces, unless kinds weighs pictures"
    )
    kinds: dict[Kind, Weight] = Field({"flat": 1.0}, description=f"weights of {', '.join(get_args(Kind))}")
    strength: ShareRange = Field((0.1, 0.5), description="how strong the texture is; weak ones are more frequent")

    @model_validator(mode="after")
    def _something(self) -> Background:
        # The pictures of `paths` have a weight even where `kinds` gives them none.
        drawn = [weight for kind, weight in self.kinds.items() if kind != "pictures"]
        if not self.paths and not any(drawn):
            wants = "; pictures need background.paths" if "pictures" in self.kinds else ""
            raise ValueError(f"kinds: no surface has a weight above zero{wants}")
        return self


class ColourSection(Section):
    """Colours of surface and ink; luminance and contrast in grey levels, 0 to 255."""

    luminance: GreyRange = Field((200.0, 255.0), description="of surfaces that have no colours of their own")
    coloured: Share = Field(0.0, description="share of surfaces with a hue")
    saturation: ShareRange = Field((0.1, 0.7), description="of hues; 0 is grey")
    contrast: GreyRange = Field((120.0, 255.0), description="luminance between ink and surface")
    darker: Share = Field(1.0, description="share of inks darker than the surface, where both can be")
    ink_coloured: Share = Field(0.0, description="share of inks with a hue")
    from_background: Share = Field(0.0, description="share of inks whose hue is taken from elsewhere on the surface")


class Rotation(Section):
    """Turning the line."""

    p: Share = Field(0.0, description="share of samples")
    degrees: _Angles = Field((-4.0, 4.0), description="positive: clockwise; long lines turn less")


class Shear(Section):
    """Slanting the line."""

    p: Share = Field(0.0, description="share of samples")
    slant: SignedRange = Field((-0.2, 0.2), description="tangent of the slant")


class Perspective(Section):
    """A line seen from the side."""

    p: Share = Field(0.0, description="share of samples")
    strength: _CornerShifts = Field((0.02, 0.15), description="corner shift over the line's height")


class Curve(Section):
    """A line set on an arc."""

    p: Share = Field(0.0, description="share of samples")
    bend: PositiveRange = Field((0.1, 0.5), description="rise of the arc over the line's height")


class Wave(Section):
    """A wavy baseline."""

    p: Share = Field(0.0, description="share of samples")
    amplitude: ShareRange = Field((0.02, 0.1), description="over the line's height")


class Elastic(Section):
    """Small smooth distortions."""

    p: Share = Field(0.0, description="share of samples")
    strength: ShareRange = Field((0.01, 0.04), description="root mean square shift over the line's height")


class Stretch(Section):
    """Letters wider or narrower than the font has them."""

    p: Share = Field(0.0, description="share of samples")
    factor: FactorRange = Field((0.75, 1.3), description="width over the font's own")


class Geometry(Section):
    """Warps, composed into one."""

    stretch: Stretch = Stretch()
    curve: Curve = Curve()
    wave: Wave = Wave()
    elastic: Elastic = Elastic()
    shear: Shear = Shear()
    rotation: Rotation = Rotation()
    perspective: Perspective = Perspective()


class Legibility(Section):
    """The floor below which no unit may fall, measured on the decoded image (see synth.compose.legibility)."""

    contrast: _Grey = Field(24.0, description="grey levels between a unit's ink and its surround")
    ratio: Weight = Field(0.7, description="the ink's signal over the local noise")
    evenness: Share = Field(0.2, description="what the worst eighth of a unit keeps of the unit's contrast")
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(6, description="after so many refusals: a plain rendering")


class Output(Section):
    """How samples are stored."""

    encoding: Literal["jpeg", "png"] = Field("jpeg", description="jpeg or png")
    quality: QualityRange = Field((75, 95), description="JPEG quality")
    polygons: bool = Field(False, description="store a polygon per unit")
    shard_size: Annotated[int, Field(ge=256, multiple_of=256)] = Field(16384, description="records per shard")


class Recipe(Section):
    """All that defines a data set, beside the files it names."""

    name: str = Field("recipe", description="for people")
    task: Literal["rec", "det"] = Field("rec", description="rec: crops of single lines; det: pages with many texts")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="another seed, another stream of samples")
    corpus: Corpus = Corpus()
    fonts: Fonts = Fonts()
    handwriting: Handwriting = Handwriting()
    styles: Styles = Styles()
    layout: Layout = Layout()
    ink: InkSection = InkSection()
    surroundings: Surroundings = Surroundings()
    background: Background = Background()
    colour: ColourSection = ColourSection()
    geometry: Geometry = Geometry()
    degrade: Annotated[dict[str, dict[str, Any] | None], AfterValidator(_checked_ops)] = Field(
        default_factory=dict, description="pixel operations by name, in order; see `augment.pixel`"
    )
    legibility: Legibility = Legibility()
    page: Page = Page()
    scene: Scene = Scene()
    output: Output = Output()

    @model_validator(mode="after")
    def _styles_have_room(self) -> Recipe:
        styles, layout = self.styles, self.layout
        if not styles.stores or not styles.weight:
            return self
        if self.task == "det":
            raise ValueError("styles: pages and scenes are not drawn in styles; take a recipe of task rec")
        if styles.weight == 1:
            for key, p in (("vertical", layout.vertical.p), ("curve", layout.curve.p), ("seal", layout.seal.p)):
                if p:
                    raise ValueError(
                        f"styles.weight: 1 leaves no sample for layout.{key}, as styles are for straight lines; "
                        f"lower it, or set layout.{key}.p to 0"
                    )
        return self

    def degrade_ops(self) -> Degrade:
        """The `degrade` section, ready to be applied."""
        return Degrade(parse_ops(self.degrade))

    def with_keys(self, section: str, **keys: Any) -> Recipe:
        """The recipe with some keys of a section changed. Raises RecipeError for values that do not fit."""
        values = self.model_dump()
        return Recipe.from_values(values | {section: values[section] | keys})

    @classmethod
    def presets(cls) -> list[str]:
        """Names of the looks that come with the package."""
        return sorted(path.stem for path in data_file("configs/recipes").glob("*.yml"))

    @classmethod
    def scripts(cls) -> list[str]:
        """Names of the recipes for scripts that come with the package, each with a small corpus."""
        return sorted(path.stem for path in data_file("configs/recipes/scripts").glob("*.yml"))

    @classmethod
    def load(
        cls,
        source: str | Path = "scene",
        *,
        corpus: str | Path | Sequence[str | Path] = (),
        charset: str | Path | None = None,
        overrides: str | Sequence[str] = (),
        **sections: Mapping[str, Any],
    ) -> Recipe:
        """A recipe from a preset's name or a YAML file.

        A file may say `base: NAME|FILE` (a file is looked for beside the one that names it) and then only what differs:
        sections are merged key by key, everything else, lists among it, takes the place of the base's.

        Args:
            source: the name of a preset, or a path ending in .yml or .yaml.
            corpus: a text file or several; they take the place of `corpus.files`.
            charset: dictionary; takes the place of `corpus.charset`.
            overrides: `section.key=value`, one or several, the value in YAML; `base=NAME` exchanges the base.
            sections: keys of sections to set, such as `layout={"height": 48}`; of sections within them, too, those that
                are not named stay: `layout={"seal": {"unwrap": False}}`.

        Raises:
            RecipeError: no such preset or file, not YAML, a base that leads back to its recipe, or a key or value that
                does not fit; names the key.
        """
        if isinstance(corpus, str | Path):
            corpus = (corpus,)
        if isinstance(overrides, str):
            overrides = (overrides,)
        base, overrides = _base_apart(overrides)
        path, values = _resolved(source, base)
        for name, keys in sections.items():
            for key, value in keys.items():
                if isinstance(value, Mapping) and _holds_section(cls, name, key):
                    for inner, part in value.items():
                        set_key(values, (name, key, inner), part, path)
                else:
                    set_key(values, (name, key), value, path)
        if corpus:
            set_key(values, ("corpus", "files"), [{"path": str(name)} for name in corpus], path)
        if charset is not None:
            set_key(values, ("corpus", "charset"), str(charset), path)
        for override in overrides:
            key, sign, value = override.partition("=")
            if not sign:
                raise RecipeError(f"-o {override}: must be section.key=value")
            set_key(values, tuple(key.strip().split(".")), parse_yaml(value, f"-o {key}"), f"-o {key}")
        return cls.from_values(values, path)

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str = "recipe") -> Recipe:
        """A recipe from plain data; `where` begins the error messages.

        Raises:
            RecipeError: see `load`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(explain(error, where, cls)) from None

    def to_values(self) -> dict[str, Any]:
        """The recipe in full, as plain data that YAML and JSON can hold."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The recipe in full, as YAML with a comment on each key."""
        return "".join(_yaml_lines(self, self.to_values(), ""))


def _base_apart(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """The last `base=…` among overrides, and the others."""
    base, others = None, []
    for override in overrides:
        key, sign, value = override.partition("=")
        if sign and key.strip() == "base":
            base = value.strip()
        else:
            others.append(override)
    return base, others


def _resolved(source: str | Path, base: str | None = None) -> tuple[str, dict[str, Any]]:
    """What messages call a recipe, and its values on top of those of its base; `base` exchanges the file's own."""
    where, values, path = _read(source)
    if base is not None:
        values["base"] = base
    seen = [path]
    layers = [values]
    place = where
    while (named := layers[-1].pop("base", None)) is not None:
        if not isinstance(named, str) or not named:
            raise RecipeError(f"{place}: base: should be the name of a recipe or a file, not {named!r}")
        if Path(named).suffix in (".yml", ".yaml"):
            # One on the command line is where the user is, one in a file beside that file.
            named = named if base is not None and len(layers) == 1 else seen[-1].parent / Path(named).expanduser()
        try:
            _, values, path = _read(named)
        except RecipeError as error:
            raise RecipeError(f"{place}: base: {error}") from None
        if path in seen:
            chain = " → ".join(file.name for file in (*seen[seen.index(path) :], path))
            raise RecipeError(f"{where}: base leads back to itself: {chain}")
        seen.append(path)
        layers.append(values)
        place = str(path)
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = _merged(merged, layer)
    return where, merged


def _holds_section(model: type[BaseModel], name: str, key: str) -> bool:
    """Whether what stands at `name.key` of a recipe is a section, too."""
    for part in (name, key):
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, Section):
            return False
        model = field.annotation
    return True


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _read(source: str | Path) -> tuple[str, dict[str, Any], Path]:
    """What error messages call a recipe, its values as its file has them, and the file."""
    name = str(source)
    shipped = Path(name).suffix not in (".yml", ".yaml")
    if shipped:
        folder = data_file("configs/recipes")
        path = next((p for p in (folder / f"{name}.yml", folder / "scripts" / f"{name}.yml") if p.is_file()), None)
        # A name with a slash would be looked for elsewhere.
        if path is None or name != path.stem:
            known = (*Recipe.presets(), *Recipe.scripts())
            raise RecipeError(f"recipe {name!r} is unknown{nearest(name, known)}; a file's name ends in .yml")
        name = f"recipe {name}"
    else:
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"{path}: there is no such recipe file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 at byte offset {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, not {_KINDS_OF_DATA.get(type(values), values)}")
    # A section with nothing under it, as when all its keys are commented out.
    values = {key: value for key, value in values.items() if value is not None}
    if shipped:
        # Our own recipes name our own corpora, wherever the package lies.
        for file in values.get("corpus", {}).get("files", ()):
            file["path"] = str(data_file(file["path"]))
    return name, values, path.resolve()


_KINDS_OF_DATA: dict[type, str] = {type(None): "an empty file", list: "a list", str: "a text"}


def _yaml_lines(model: BaseModel, values: dict[str, Any], indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        below = getattr(model, name)
        note = field.description or (_summary(type(below)) if isinstance(below, BaseModel) else "")
        comment = f"  # {note}" if note else ""
        if isinstance(below, BaseModel):
            yield f"{indent}{name}:{comment}\n"
            yield from _yaml_lines(below, values[name], indent + "  ")
        elif (
            isinstance(values[name], dict) and values[name] and any(isinstance(v, dict) for v in values[name].values())
        ):
            yield f"{indent}{name}:{comment}\n"
            for key, value in values[name].items():
                yield f"{indent}  {key}: {_inline(value)}  # {_summary(known_ops()[key])}\n"
        else:
            yield f"{indent}{name}: {_inline(values[name])}{comment}\n"


def _summary(model: type[BaseModel]) -> str:
    """The first sentence of its documentation."""
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _inline(value: Any) -> str:
    for plain in (True, False):
        text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=plain, width=10**9, sort_keys=False)
        # Line breaks other than LF do not survive PyYAML unless escaped.
        if not any(c in text for c in "\x85\u2028\u2029"):
            break
    return text.removesuffix("\n").removesuffix("\n...")
