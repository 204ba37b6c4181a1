"""The recipe: strict, typed sections, to and from YAML, presets by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from augment.errors import ScriptoriumError
from augment.pixel import Degrade, dump_ops, parse_ops
from synth.data import data_file


class RecipeError(ScriptoriumError):
    """A recipe that cannot be used; names the file and the key."""


def _ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    if pair[0] > pair[1]:
        raise ValueError(f"a range goes from low to high, not {list(pair)}")
    return pair


def _checked_ops(mapping: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return dump_ops(parse_ops(mapping))


Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
IntRange = Annotated[tuple[int, int], AfterValidator(_ordered)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class CorpusFile(Section):
    """One text file, UTF-8, one text per line."""

    path: Path
    weight: Weight = 1.0
    piece: Literal["line", "word", "words"] | None = Field(None, description="overrides corpus.piece for this file")


class TemplatePattern(Section):
    r"""A pattern such as `\d{2}/\d{2}/\d{4}` and how often it is used among the templates."""

    pattern: str
    weight: Weight = 1.0


class Case(Section):
    """Weights of the case variants; scripts without case are left as they are."""

    as_is: Weight = 1.0
    lower: Weight = 0.0
    upper: Weight = 0.0
    title: Weight = 0.0


class Corpus(Section):
    """Where texts come from, and how they are cut."""

    files: tuple[CorpusFile, ...] = ()
    piece: Literal["line", "word", "words"] = Field("word", description="what one sample shows")
    words: IntRange = Field((1, 4), description="words in a piece, for piece: words")
    length: IntRange = Field((1, 25), description="units in a label; longer pieces are cut at unit boundaries")
    join: Share = Field(0.0, description="share of pieces joined to a second one without a space")
    cut: Share = Field(0.0, description="share of pieces cut to a random part of themselves")
    case: Case = Case()
    templates: tuple[TemplatePattern, ...] = Field((), description="patterns for numbers, dates, prices, codes")
    template_share: Share = Field(0.0, description="share of samples drawn from the templates")
    digits: str = Field("0123456789", description="what \\d means in templates, ten characters")
    balance: Literal["none", "sqrt", "uniform"] = Field("none", description="how strongly rare characters are favoured")
    unit: Literal["codepoint", "grapheme", "akshara"] = "grapheme"
    charset: Path | None = Field(None, description="dictionary, one unit per line; texts with others are dropped")
    language: str | None = Field(None, description="BCP 47 language for shaping, such as sr or ur")
    direction: Literal["auto", "ltr", "rtl"] = Field("auto", description="base direction of a line (UAX #9)")


class Fonts(Section):
    """Which fonts draw the texts."""

    paths: tuple[Path, ...] = Field((), description="fonts and folders of fonts; none: all that the machine has")
    exclude: tuple[str, ...] = Field((), description="families left out, by name")
    fallback: bool = Field(True, description="let a second face draw what the first lacks")
    variations: Annotated[int, Field(ge=0, le=32)] = Field(6, description="random cuts of each variable font")


class Layout(Section):
    """How a line is set and how tightly it is cut out."""

    height: Annotated[int, Field(ge=8, le=256)] = Field(32, description="image height in pixels")
    size: Range = Field(
        (0.95, 1.25), description="size at which glyphs are drawn, em over image height, before the fit"
    )
    spacing: Range = Field((0.0, 0.0), description="letter spacing in em, where the script's letters do not connect")
    spacing_share: Share = Field(0.0, description="share of samples with letter spacing")
    jitter_share: Share = Field(0.0, description="share of samples whose letters vary in height and size")
    jitter_rise: Weight = Field(0.03, description="standard deviation of a letter's rise, em")
    jitter_size: Weight = Field(0.03, description="standard deviation of a letter's size, as a factor")
    margin_x: Range = Field((0.05, 0.3), description="left and right margins over image height; negative clips")
    margin_y: Range = Field((0.05, 0.15), description="top and bottom margins over image height; negative clips")
    max_ratio: Annotated[float, Field(gt=0)] = Field(60.0, description="wider images, over their height, are refused")


class Outline(Section):
    """A stroke around the letters."""

    p: Share = 0.0
    width: Range = Field((0.02, 0.06), description="em")
    hollow: Share = Field(0.2, description="share of outlines whose letters are filled with the background's colour")


class Shadow(Section):
    """A drop shadow."""

    p: Share = 0.0
    offset: Range = Field((0.02, 0.09), description="em")
    blur: Range = Field((0.0, 0.06), description="standard deviation, em")
    strength: Range = (0.3, 0.9)


class Extrusion(Section):
    """Letters with a visible side."""

    p: Share = 0.0
    depth: Range = Field((0.03, 0.1), description="em")


class Worn(Section):
    """Ink that has dropped out or worn off."""

    p: Share = 0.0
    amount: Range = Field((0.1, 0.5), description="share of the ink's surface touched")


class Textured(Section):
    """Letters filled with a texture or a gradient."""

    p: Share = 0.0
    strength: Range = (0.2, 0.7)


class InkSection(Section):
    """The ink itself."""

    weight: Range = Field((0.0, 0.0), description="growth of the strokes on either side, em; negative thins")
    weight_share: Share = 0.0
    opacity: Range = (1.0, 1.0)
    multiply: Share = Field(0.0, description="share of samples printed through (multiplied) instead of painted over")
    underline: Share = 0.0
    outline: Outline = Outline()
    shadow: Shadow = Shadow()
    extrusion: Extrusion = Extrusion()
    emboss: Share = 0.0
    worn: Worn = Worn()
    textured: Textured = Textured()


class Surroundings(Section):
    """What else a crop shows: never more of it than a part, so that the label stays whole."""

    above: Share = 0.0
    below: Share = 0.0
    beside: Share = 0.0
    rule: Share = Field(0.0, description="a ruled line near the text's top or bottom, or a box's side")


class Background(Section):
    """What the text stands on."""

    paths: tuple[Path, ...] = Field((), description="folders of pictures; only these are used, unless kinds says more")
    kinds: dict[
        Literal["flat", "paper", "gradient", "grain", "cloth", "stains", "wall", "clutter", "pictures"], Weight
    ] = Field({"flat": 1.0}, description="weights of the surfaces")
    strength: Range = Field((0.1, 0.5), description="how strong the texture is; weak ones are more frequent")


class ColourSection(Section):
    """Colours of surface and ink; luminance and contrast in grey levels, 0 to 255."""

    luminance: Range = Field((200.0, 255.0), description="of surfaces that have no colours of their own")
    coloured: Share = Field(0.0, description="share of surfaces with a hue")
    saturation: Range = (0.1, 0.7)
    contrast: Range = Field((120.0, 255.0), description="luminance between ink and surface")
    darker: Share = Field(1.0, description="share of inks darker than the surface, where both can be")
    ink_coloured: Share = 0.0
    from_background: Share = Field(0.0, description="share of inks whose hue is taken from elsewhere on the surface")


class Rotation(Section):
    """Turning the line."""

    p: Share = 0.0
    degrees: Range = (-4.0, 4.0)


class Shear(Section):
    """Slanting the line."""

    p: Share = 0.0
    slant: Range = Field((-0.2, 0.2), description="tangent of the slant")


class Perspective(Section):
    """A line seen from the side."""

    p: Share = 0.0
    strength: Range = Field((0.02, 0.15), description="corner shift over the line's height")


class Curve(Section):
    """A line set on an arc."""

    p: Share = 0.0
    bend: Range = Field((0.1, 0.5), description="rise of the arc over the line's height")


class Wave(Section):
    """A wavy baseline."""

    p: Share = 0.0
    amplitude: Range = Field((0.02, 0.1), description="over the line's height")


class Elastic(Section):
    """Small smooth distortions."""

    p: Share = 0.0
    strength: Range = Field((0.01, 0.04), description="over the line's height")


class Stretch(Section):
    """Letters wider or narrower than the font has them."""

    p: Share = 0.0
    factor: Range = (0.75, 1.3)


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

    contrast: Weight = Field(24.0, description="grey levels between a unit's ink and its surround")
    ratio: Weight = Field(0.7, description="the ink's signal over the local noise")
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(6, description="after so many refusals: a plain rendering")


class Output(Section):
    """How samples are stored."""

    encoding: Literal["jpeg", "png"] = "jpeg"
    quality: IntRange = Field((75, 95), description="JPEG quality")
    polygons: bool = Field(False, description="store a polygon per unit")
    shard_size: Annotated[int, Field(ge=256, multiple_of=256)] = Field(16384, description="records per shard")


class Recipe(Section):
    """All that defines a data set, beside the files it names."""

    name: str = "recipe"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    corpus: Corpus = Corpus()
    fonts: Fonts = Fonts()
    layout: Layout = Layout()
    ink: InkSection = InkSection()
    surroundings: Surroundings = Surroundings()
    background: Background = Background()
    colour: ColourSection = ColourSection()
    geometry: Geometry = Geometry()
    degrade: Annotated[dict[str, dict[str, Any]], AfterValidator(_checked_ops)] = Field(
        default_factory=dict, description="pixel operations by name, in order; see `augment.pixel`"
    )
    legibility: Legibility = Legibility()
    output: Output = Output()

    def degrade_ops(self) -> Degrade:
        """The `degrade` section, ready to be applied."""
        return Degrade(parse_ops(self.degrade))

    @classmethod
    def presets(cls) -> list[str]:
        """Names of the recipes that come with the package."""
        return sorted(path.stem for path in data_file("configs/recipes").glob("*.yml"))

    @classmethod
    def load(
        cls,
        source: str | Path = "scene",
        *,
        corpus: Sequence[str | Path] = (),
        overrides: Sequence[str] = (),
        **sections: Mapping[str, Any],
    ) -> Recipe:
        """A recipe from a preset's name or a YAML file.

        Args:
            source: the name of a preset, or a path ending in .yml or .yaml.
            corpus: text files; they take the place of `corpus.files`.
            overrides: `section.key=value`, the value in YAML.
            sections: keys of sections to set, such as `layout={"height": 48}`.

        Raises:
            RecipeError: no such preset or file, not YAML, or a key or value that does not fit; names the key.
        """
        path, values = _read(source)
        for name, keys in sections.items():
            _set(values, (name,), {**_section(values, name), **keys}, path)
        if corpus:
            _set(values, ("corpus", "files"), [{"path": str(name)} for name in corpus], path)
        for override in overrides:
            key, sign, value = override.partition("=")
            if not sign:
                raise RecipeError(f"-o {override}: must be section.key=value")
            try:
                _set(values, tuple(key.strip().split(".")), yaml.safe_load(value), f"-o {key}")
            except yaml.YAMLError as error:
                raise RecipeError(f"-o {override}: the value is not YAML ({_first_line(error)})") from None
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
            raise RecipeError(_explain(error, where)) from None

    def to_values(self) -> dict[str, Any]:
        """The recipe in full, as plain data that YAML and JSON can hold."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The recipe in full, as YAML with a comment on each key."""
        return "".join(_yaml_lines(self, self.to_values(), ""))


def _read(source: str | Path) -> tuple[str, dict[str, Any]]:
    name = str(source)
    if Path(name).suffix in (".yml", ".yaml"):
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"{path}: there is no such recipe file")
    else:
        path = data_file("configs/recipes") / f"{name}.yml"
        if not path.is_file():
            raise RecipeError(
                f"recipe {name!r} is unknown{_nearest(name, Recipe.presets())}; a file's name ends in .yml"
            )
        name = f"recipe {name}"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path}: not a YAML file ({_first_line(error)})") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, not {type(values).__name__}")
    return name, values


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    return section if isinstance(section, dict) else {}


def _set(values: dict[str, Any], key: tuple[str, ...], value: Any, where: str) -> None:
    for depth, part in enumerate(key[:-1]):
        below = values.setdefault(part, {})
        if not isinstance(below, dict):
            raise RecipeError(f"{where}: {'.'.join(key[: depth + 1])} is a value, not a section")
        values = below
    values[key[-1]] = value


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f" (there are: {', '.join(names)})"


def _explain(error: ValidationError, where: str) -> str:
    parts: list[str] = []
    for problem in error.errors()[:3]:
        location = problem["loc"]
        key = ".".join(str(part) for part in location)
        if problem["type"] == "extra_forbidden":
            parts.append(f"{key}: unknown key{_nearest(str(location[-1]), _keys_at(location[:-1]))}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = repr(problem["input"])
            parts.append(f"{key}: {message}" + (f", not {given}" if len(given) < 60 and "not" not in message else ""))
    more = len(error.errors()) - len(parts)
    return f"{where}: " + "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            inner = [a for a in get_args(annotation) if a is not Ellipsis]
            if not inner:
                return []
            annotation = inner[0]
        model = annotation
    return list(model.model_fields)


def _yaml_lines(model: BaseModel, values: dict[str, Any], indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        below = getattr(model, name)
        note = field.description or (type(below).__doc__ or "" if isinstance(below, BaseModel) else "")
        comment = f"  # {' '.join(note.split())}" if note else ""
        if isinstance(below, BaseModel):
            yield f"{indent}{name}:{comment}\n"
            yield from _yaml_lines(below, values[name], indent + "  ")
        elif (
            isinstance(values[name], dict) and values[name] and any(isinstance(v, dict) for v in values[name].values())
        ):
            yield f"{indent}{name}:{comment}\n"
            for key, value in values[name].items():
                yield f"{indent}  {key}: {_inline(value)}\n"
        else:
            yield f"{indent}{name}: {_inline(values[name])}{comment}\n"


def _inline(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
