"""The recipe's sections for pages and scenes (`task: det`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from augment.pixel import CountRange, LengthRange, PositiveRange, ShareRange
from synth.strict import Section

PageKind = Literal["text", "dense", "cover", "receipt", "form", "table", "scene"]


def _ordered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    if pair[0] > pair[1]:
        raise ValueError(f"a range goes from low to high, not {list(pair)}")
    return pair


_Share = Annotated[float, Field(ge=0, le=1)]
_Weight = Annotated[float, Field(ge=0)]
_Side = Annotated[int, Field(ge=128, le=4096)]
_Em = Annotated[float, Field(ge=6, le=200)]
_Degrees = Annotated[float, Field(ge=0, le=45)]
_Sides = Annotated[tuple[_Side, _Side], AfterValidator(_ordered)]
_Ems = Annotated[tuple[_Em, _Em], AfterValidator(_ordered)]


class Rotation(Section):
    """Sheets laid askew; small angles are more frequent."""

    p: _Share = Field(0.6, description="share of pages")
    degrees: _Degrees = Field(3.0, description="at most, either way")


class Perspective(Section):
    """Sheets seen from the side."""

    p: _Share = Field(0.2, description="share of pages")
    shift: Annotated[float, Field(ge=0, le=0.3)] = Field(
        0.06, description="of the corners over the shorter side, at most"
    )


class Curl(Section):
    """Sheets that do not lie flat: books near the spine, waves."""

    p: _Share = Field(0.12, description="share of pages")
    rise: Annotated[float, Field(ge=0, le=0.2)] = Field(0.02, description="over the width, at most")


class Page(Section):
    """Pages: what kinds, how large, how labelled, and how the sheet lies before the camera or scanner."""

    kinds: dict[PageKind, _Weight] = Field(
        {"text": 0.3, "dense": 0.1, "cover": 0.05, "receipt": 0.25, "form": 0.2, "table": 0.1},
        description=f"weights of {', '.join(get_args(PageKind))}",
    )
    label: Literal["line", "word"] = Field(
        "line", description="what one polygon holds: a line, or a word between spaces"
    )
    side: _Sides = Field((900, 1300), description="longer side of the picture, pixels")
    em: _Ems = Field((12.0, 40.0), description="sizes of running text, pixels per em")
    margin: ShareRange = Field((0.02, 0.06), description="between ink and polygon, em; never more than 2 pixels")
    legible: LengthRange = Field(
        (7.0, 14.0),
        description="texts lower than the first are labelled ###, in pixels, and so are texts "
        "lower than the second whose contrast is below legibility.contrast; of higher ones half of that is enough; "
        "and no text may have less signal over noise than legibility.ratio",
    )
    mixed: _Share = Field(0.1, description="share of pages with texts of all corpus files; the others keep to one")
    families: _Share = Field(0.5, description="share of pages with a second family")
    display: _Share = Field(0.15, description="share of faces that may look written or decorative")
    written: _Share = Field(
        0.25, description="share of forms filled in with a face that looks written, where there is one"
    )
    marks: _Share = Field(0.35, description="share of pages with stamps, scribble, bar codes, logos, pictures")
    through: _Share = Field(0.12, description="share of pages whose back shows through")
    rotation: Rotation = Rotation()
    perspective: Perspective = Perspective()
    curl: Curl = Curl()
    edge: _Share = Field(0.2, description="share of pictures that show the sheet's edges")

    @model_validator(mode="after")
    def _something(self) -> Page:
        if not any(self.kinds.values()):
            raise ValueError("kinds: no kind of page has a weight above zero")
        return self


class Scene(Section):
    """Scenes (the kind `scene`): texts on signs and surfaces of a picture; colours and effects as for lines."""

    side: _Sides = Field((560, 900), description="longer side of the picture, pixels")
    blocks: CountRange = Field((2, 10), description="groups of lines that lie alike; fewer where there is no room")
    lines: CountRange = Field((1, 4), description="lines in a group; fewer are more frequent")
    words: CountRange = Field((1, 3), description="words in a line")
    em: ShareRange = Field(
        (0.012, 0.3), description="size over the picture's shorter side; small ones are more frequent"
    )
    panel: _Share = Field(0.4, description="share of groups on a panel of one colour")
    steep: _Share = Field(0.12, description="share of groups turned by up to 90 degrees instead of geometry.rotation")
    partial: _Share = Field(0.08, description="share of groups that the picture's edge may cut; such texts are ###")
    things: CountRange = Field((2, 12), description="shapes without text: windows, stripes, boards, blobs")
    busy: PositiveRange = Field(
        (8.0, 40.0),
        description="greatest standard deviation in grey levels of a surface that is "
        "written on without a panel, drawn for each group",
    )
