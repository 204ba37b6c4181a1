"""What stands on a page: books, small print, covers, receipts, forms, tables; and marks that are no text to find."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np

from synth.compose import Refused
from synth.compose.background import Backgrounds
from synth.pages.layout import columns_of, cut, inset
from synth.pages.settings import Page, PageKind
from synth.pages.sheet import Box, Image, Sheet
from synth.pages.typeset import Line, Type, Typesetter

Align = Literal["start", "middle", "end"]
_T = TypeVar("_T")

# Made of signs that most fonts have; words of the corpus stand in where they lack them.
_AMOUNTS = (r"\d{1,3}[.]\d{2}", r"\d{1,2}[.]\d{2}", r"\d{1,2},\d{3}[.]\d{2}", r"\d{1,3},\d{2}", r"[$]\d{1,3}[.]\d{2}")
_COUNTS = (r"\d", r"\d{1,2}", r"\d{1,3}", r"\d{1,2}%", r"\d{1,2} x")
_CODES = (
    r"\d{4,10}",
    r"[A-Z]{2,4}-?\d{3,7}",
    r"\d{2,3}-\d{7,8}",
    r"\(\d{3}\) \d{3}-\d{4}",
    r"\d{6,12}",
    r"[A-Z]{1,2}\d{2,6}[A-Z]",
)
_DATES = (
    r"\d{2}/\d{2}/(19|20)\d{2}",
    r"\d{1,2}-\d{1,2}-\d{2}",
    r"\d{2}[.]\d{2}[.]20\d{2}",
    r"\d{2}:\d{2}(:\d{2})?",
    r"\d{2}/\d{2}/\d{2} \d{2}:\d{2}",
    r"20\d{2}-\d{2}-\d{2}",
)
_FIGURES = (*_AMOUNTS, *_COUNTS, *_CODES[:2])
_LEAST_EM = 9
# Shares of a receipt's width: what was bought, then figures.
_GOODS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0, 0.72), (0.76, 1)),
    ((0, 0.48), (0.5, 0.6), (0.62, 0.79), (0.81, 1)),
    ((0, 0.36), (0.38, 0.5), (0.52, 0.6), (0.62, 0.7), (0.72, 0.82), (0.84, 1)),
    ((0, 0.5), (0.55, 0.75), (0.8, 1)),
)


@dataclass(slots=True)
class _Desk:
    """What a page is made with: one per page."""

    sheet: Sheet
    set: Typesetter
    rng: np.random.Generator
    body: Type
    other: Type
    em: int
    grey: int = 0

    # -- chance -----------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        """True in a share of cases."""
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        """Even between two bounds."""
        return low + (high - low) * float(self.rng.random())

    def whole(self, low: int, high: int) -> int:
        """Even between two whole numbers, both included."""
        return low + int(self.rng.random() * (high - low + 1))

    def one(self, items: Sequence[_T]) -> _T:
        """One of several, each as likely."""
        return items[int(self.rng.random() * len(items))]

    # -- single lines -----------------------------------------------------------------------------------------

    def line(self, text: str, type_: Type | None = None, em: int | None = None, spacing: float = 0.0) -> Line | None:
        """A line of ink, or None where it cannot be drawn."""
        with suppress(Refused):
            return self.set.line(text, type_ or self.body, em or self.em, spacing=spacing)
        return None

    def short(self, text: str, width: float, type_: Type | None = None, em: int | None = None) -> Line | None:
        """The same, with words left out at the end until it is no wider than `width`; None where one is too wide."""
        with suppress(Refused):
            return self.set.short(text, type_ or self.body, em or self.em, width)
        return None

    def put(
        self,
        line: Line | None,
        box: Box,
        align: Align,
        baseline: float,
        grey: int | None = None,
        layer: Image | None = None,
    ) -> Box | None:
        """A line between the sides of a box, on a baseline; the start is at the right where the script runs so."""
        if line is None:
            return None
        left, _, right, _ = box
        if self.set.rtl and align != "middle":
            align = "end" if align == "start" else "start"
        x = left if align == "start" else right - line.width if align == "end" else (left + right - line.width) / 2
        return self.sheet.put(line, x, baseline - line.baseline, grey=self.grey if grey is None else grey, layer=layer)

    def below(self, line: Line | None, box: Box, align: Align, y: float, gap: float) -> float:
        """A line below `y`, its ink no nearer than a pixel and its baseline at least `gap` further on; its new `y`.

        `y` is that of the last baseline or edge. A line that does not fit into the box is left out, and `y` is then
        beyond the box.
        """
        if line is None:
            return y
        baseline = max(y + gap, self.floor(box, y + gap) + line.baseline + 1)
        if baseline - line.baseline + line.height > box[3]:
            return box[3] + 1
        self.put(line, box, align, round(baseline))
        return round(baseline)

    def floor(self, box: Box, baseline: float) -> float:
        """The lowest ink of what was put last, between the sides of a box and not wholly below a baseline."""
        last = self.sheet.taken[-8:]
        return max((t[3] for t in last if t[0] < box[2] and t[2] > box[0] and t[1] < baseline), default=box[1])

    # -- runs of lines ----------------------------------------------------------------------------------------

    def paragraph(
        self,
        box: Box,
        y: float,
        leading: float,
        *,
        lines: int,
        justified: bool,
        indent: float = 0.0,
        type_: Type | None = None,
        em: int | None = None,
        align: Align = "start",
    ) -> float:
        """Running text from `y` on; the last baseline, beyond the box where it is full."""
        type_, em = type_ or self.body, em or self.em
        left, top, right, bottom = box
        for number in range(lines):
            last = number == lines - 1
            start = indent if number == 0 else 0.0
            width = right - left - start
            room = width * self.between(0.2, 0.95) if last else width
            line = self.set.filled(type_, em, max(room, 2 * em), justified=justified and not last)
            inner = (left, top, right - start, bottom) if self.set.rtl else (left + start, top, right, bottom)
            y = self.below(line, inner, align, y, leading * em)
            if y > bottom:
                break
        return y


class PageMaker:
    """Makes pages of all kinds; built once per process.

    Args:
        typesetter: texts and faces.
        page: the recipe's section.
        vertical: share of running text that is set in columns from right to left.
        pictures: what pictures on pages show.
    """

    def __init__(self, typesetter: Typesetter, page: Page, vertical: float, pictures: Backgrounds) -> None:
        self._set = typesetter
        self._page = page
        self._vertical = vertical
        self._pictures = pictures
        self._makers: dict[PageKind, Callable[[_Desk], None]] = {
            "text": self._text,
            "dense": self._text,
            "cover": self._cover,
            "receipt": self._receipt,
            "form": self._form,
            "table": self._table,
        }

    def make(self, kind: PageKind, rng: np.random.Generator) -> Sheet:
        """One sheet of a kind.

        Raises:
            Refused: its texts cannot be drawn.
        """
        page, draw = self._page, rng.random
        self._set.begin(rng, capitals=draw() < {"receipt": 0.55, "form": 0.1}.get(kind, 0.03))
        long = page.side[0] + (page.side[1] - page.side[0]) * draw()
        low, high = {"receipt": (1.5, 2.9), "cover": (0.7, 1.5)}.get(kind, (1.2, 1.5))
        ratio = low + (high - low) * draw()
        if kind not in ("receipt", "cover") and draw() < 0.12:
            ratio = 1 / ratio
        height, width = (long, long / ratio) if ratio >= 1 else (long * ratio, long)
        margin = page.margin[0] + (page.margin[1] - page.margin[0]) * draw()
        sheet = Sheet(round(width), round(height), page.label, margin)
        fixed = draw() < {"receipt": 0.65, "form": 0.4, "table": 0.15}.get(kind, 0.06)
        body = self._set.type(fixed=fixed)
        written = kind == "form" and draw() < page.written
        other = self._set.type(written=written) if written or draw() < page.families else body
        letters = {
            "text": (32, 75),
            "dense": (70, 130),
            "cover": (12, 40),
            "receipt": (24, 46),
            "form": (55, 100),
            "table": (50, 110),
        }[kind]
        em = width * 0.86 / (letters[0] + (letters[1] - letters[0]) * draw()) / (0.6 if fixed else 0.5)
        low_em, high_em = page.em
        em = min(max(em, low_em), high_em * (1.3 if kind == "cover" else 1.0))
        grey = int(70 * draw() ** 3)
        desk = _Desk(sheet, self._set, rng, body, other, max(round(em), _LEAST_EM), grey)
        self._makers[kind](desk)
        if draw() < page.marks:
            self._marks(desk)
        return sheet

    # -- books and letters ------------------------------------------------------------------------------------

    def _text(self, desk: _Desk) -> None:
        sheet, em = desk.sheet, desk.em
        box = inset((0, 0, sheet.width, sheet.height), desk.between(0.03, 0.11), desk.between(0.03, 0.1))
        if desk.chance(0.6):
            box = self._running_head(desk, box)
        if desk.chance(self._vertical):
            self._columns(desk, box)
            return
        if desk.chance(0.45):
            top = self._heading(desk, box, box[1], desk.between(1.3, 2.4), desk.one(("start", "middle")))
            box = (box[0], min(top + em, box[3] - 3 * em), box[2], box[3])
        room = (box[2] - box[0]) / em
        count = 1 if room < 28 else desk.one((1, 1, 2, 2, 3) if room > 45 else (1, 1, 2))
        for frame in columns_of(box, count, desk.between(1.2, 3) * em, self._set.rtl):
            self._flow(desk, frame)
            if count > 1 and desk.chance(0.1):
                sheet.rule(frame[2] + 0.6 * em, frame[1], frame[2] + 0.6 * em, frame[3])

    def _running_head(self, desk: _Desk, box: Box) -> Box:
        """Page numbers and running titles above and below; what is left of the box."""
        em = max(round(desk.em * desk.between(0.75, 1.0)), _LEAST_EM)
        left, top, right, bottom = box
        number = desk.line(self._set.pattern(desk.one((r"\d{1,3}", r"- \d{1,2} -", r"\d{1,3} / \d{1,3}"))), None, em)
        title = desk.short(self._set.words.phrase(desk.whole(2, 6)), 0.6 * (right - left), None, em)
        where = desk.whole(0, 2)
        if where != 1:
            line = top + em
            desk.put(title, box, desk.one(("start", "middle")), line)
            if where == 0:
                desk.put(number, box, "end", line)
            if desk.chance(0.3):
                desk.sheet.rule(left, line + 0.6 * em, right, line + 0.6 * em, desk.between(0.6, 2))
            top = line + 1.4 * em
        if where != 0:
            desk.put(number, box, desk.one(("middle", "end")), bottom - 0.4 * em)
            bottom -= 2.2 * em
        return left, top, right, bottom

    def _heading(self, desk: _Desk, box: Box, y: float, size: float, align: Align) -> float:
        """A title of one to three lines; the lowest ink."""
        em = max(round(desk.em * size), _LEAST_EM)
        type_ = self._set.bold(desk.other) if desk.chance(0.6) else desk.other
        words = desk.whole(2, 9)
        for _ in range(3):
            line = desk.short(self._set.words.phrase(min(words, 6)), box[2] - box[0], type_, em)
            if line is None:
                return y
            after = desk.below(line, box, align, y, 1.2 * em)
            if after > box[3]:
                return y
            y = after + line.height - line.baseline
            words -= len(line.text.split())
            if words <= 0:
                break
        return y

    def _flow(self, desk: _Desk, box: Box) -> None:
        """Paragraphs, headings, lists, pictures down a column."""
        em = desk.em
        leading = desk.between(1.12, 1.65)
        justified = desk.chance(0.5)
        indent = desk.between(1, 3) * em if desk.chance(0.6) else 0.0
        gap = desk.between(0.3, 1.0) * em if not indent or desk.chance(0.3) else 0.0
        y = box[1]
        end = box[3] if desk.chance(0.75) else desk.between(box[1] + 0.3 * (box[3] - box[1]), box[3])
        box = (box[0], box[1], box[2], end)
        while y + 2 * em < end:
            before = y
            kind = desk.rng.random()
            if kind < 0.13:
                y = self._heading(
                    desk, box, y + 0.6 * em, desk.between(1.0, 1.35), desk.one(("start", "start", "middle"))
                )
                y += 0.2 * em
            elif kind < 0.22:
                y = self._list(desk, box, y, leading)
            elif kind < 0.25 and end - y > 8 * em:
                y = self._picture(desk, box, y + 0.8 * em)
            elif kind < 0.28 and end - y > 8 * em:
                height = min(desk.between(4, 12) * em, end - y - 2 * em)
                self._cells(desk, (box[0], y + em, box[2], y + em + height), ruled=desk.chance(0.5))
                y += height + 1.5 * em
            else:
                y = desk.paragraph(box, y, leading, lines=desk.whole(1, 9), justified=justified, indent=indent)
            y = max(y, before + em) + gap

    def _list(self, desk: _Desk, box: Box, y: float, leading: float) -> float:
        em = desk.em
        signs = desk.one((r"\d{1}[.]", r"\(\d\)", "-", "•", r"\([a-h]\)", r"\d{1}\)"))
        step = desk.between(1.5, 2.6) * em
        apart = desk.chance(0.3)
        item = (box[0], box[1], box[2] - step, box[3]) if self._set.rtl else (box[0] + step, box[1], box[2], box[3])
        for _ in range(desk.whole(2, 6)):
            sign = self._set.pattern(signs)
            if not apart:
                # Close to its text, a number belongs to the line.
                self._set.words.back([sign])
            room = item if apart else box
            line = self._set.filled(desk.body, em, (room[2] - room[0]) * desk.between(0.3, 1.0))
            after = desk.below(line, room, "start", y, leading * em)
            if after > box[3]:
                return after
            mark = desk.line(sign) if apart else None
            if mark is not None and mark.width < step:
                desk.put(mark, box, "start", after)
            y = after
            if desk.chance(0.3):
                y = desk.paragraph(item, y, leading, lines=1, justified=False)
        return y

    def _picture(self, desk: _Desk, box: Box, y: float) -> float:
        """A picture in the text, with a caption now and then."""
        em = desk.em
        width = (box[2] - box[0]) * desk.between(0.4, 1.0)
        height = min(width * desk.between(0.3, 0.9), box[3] - y - 3 * em)
        if height < 3 * em:
            return y
        left = desk.between(box[0], box[2] - width)
        self._show(desk, (left, y, left + width, y + height))
        y += height + 0.4 * em
        if desk.chance(0.5):
            small = max(round(0.85 * em), _LEAST_EM)
            line = desk.short(self._set.words.phrase(desk.whole(2, 8)), width, None, small)
            if line is not None:
                after = desk.below(line, (left, box[1], left + width, box[3]), "middle", y, 1.1 * small)
                y = after + line.height - line.baseline
        return y + 0.5 * em

    def _show(self, desk: _Desk, box: Box) -> None:
        """A picture in a box of the sheet."""
        x0, y0, x1, y1 = (round(edge) for edge in box)
        x1, y1 = min(x1, desk.sheet.width), min(y1, desk.sheet.height)
        if x1 - x0 < 4 or y1 - y0 < 4:
            return
        image, _ = self._pictures.draw(y1 - y0, x1 - x0, (128.0, 128.0, 128.0), desk.rng)
        if image is None:
            image = np.full((y1 - y0, x1 - x0), 160, np.uint8)
        desk.sheet.tone[y0:y1, x0:x1] = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        desk.sheet.taken.append((float(x0), float(y0), float(x1), float(y1)))

    def _columns(self, desk: _Desk, box: Box) -> None:
        """Running text from top to bottom, columns from right to left."""
        em = desk.em
        leading = desk.between(1.35, 1.9) * em
        decks = 1 if desk.chance(0.6) else 2
        height = (box[3] - box[1]) / decks
        for deck in range(decks):
            top, bottom = box[1] + deck * height, box[1] + (deck + 1) * height - (1.5 * em if decks > 1 else 0)
            x = box[2] - em / 2
            stop = box[0] if desk.chance(0.7) else desk.between(box[0], box[2] - 4 * em)
            first = True
            while x - em / 2 > stop:
                start = top + (em if first else 0)
                short = desk.chance(0.15)
                room = (bottom - start) * (desk.between(0.2, 0.9) if short else 1.0)
                line = self._set.filled(desk.body, em, room, upright=True)
                left = x - line.baseline
                if left + line.width > x + leading / 2 - 1 or left < 0:
                    x -= leading
                    continue
                desk.sheet.put(line, left, start, grey=desk.grey)
                first = short
                x -= leading * (1.5 if short and desk.chance(0.2) else 1.0)

    def _cover(self, desk: _Desk) -> None:
        """A few large texts: title pages, posters, labels."""
        sheet = desk.sheet
        box = inset((0, 0, sheet.width, sheet.height), desk.between(0.04, 0.12), desk.between(0.04, 0.12))
        if desk.chance(0.3):
            panel = (0.0, box[1], float(sheet.width), box[1] + desk.between(0.1, 0.35) * sheet.height)
            sheet.fill(panel, desk.whole(150, 235))
        y = box[1]
        align: Align = desk.one(("middle", "middle", "start"))
        while y < box[3]:
            em = min(desk.em * desk.one((0.6, 0.8, 1.0, 1.0, 1.5, 2.2)), 0.13 * sheet.width)
            type_ = desk.one((desk.body, desk.other, self._set.bold(desk.body)))
            for _ in range(desk.whole(1, 3)):
                text = self._set.words.phrase(desk.whole(1, 6))
                line = desk.short(text, box[2] - box[0], type_, max(round(em), _LEAST_EM))
                y = desk.below(line, box, align, y, 1.25 * em)
            y += desk.between(0.2, 4) * desk.em

    # -- receipts ---------------------------------------------------------------------------------------------

    def _receipt(self, desk: _Desk) -> None:
        sheet, em = desk.sheet, desk.em
        box = inset((0, 0, sheet.width, sheet.height), desk.between(0.02, 0.12), desk.between(0.01, 0.08))
        width = box[2] - box[0]
        leading = desk.between(1.1, 1.7)
        # Till printers make letters twice as high or wide.
        stretch = (1.0, desk.between(1.0, 1.7)) if desk.chance(0.45) else (1.0, 1.0)
        words, set_ = self._set.words, self._set
        y = box[1] + desk.between(0, 0.1) * sheet.height
        state = {"y": y}

        def row(
            parts: Sequence[tuple[str, float, float, Align]], size: float = 1.0, tall: tuple[float, float] | None = None
        ) -> None:
            """Texts side by side: each with the shares of the width that it may take."""
            x_scale, y_scale = tall or stretch
            lines: list[tuple[Line, Box, Align]] = []
            own = max(round(em * size), _LEAST_EM)
            for text, start, stop, align in parts:
                if set_.rtl:
                    start, stop = 1 - stop, 1 - start
                room = (box[0] + start * width, box[1], box[0] + stop * width, box[3])
                line = desk.short(text, (room[2] - room[0]) / x_scale, type_, own)
                if line is not None:
                    if (x_scale, y_scale) != (1.0, 1.0):
                        line = line.scaled(x_scale, y_scale)
                    lines.append((line, room, align))
            if not lines:
                return
            rise = max(line.baseline for line, _, _ in lines)
            drop = max(line.height - line.baseline for line, _, _ in lines)
            baseline = state["y"] + leading * own * y_scale
            baseline = round(max(baseline, desk.floor(box, baseline) + rise + 1))
            if baseline + drop > box[3]:
                state["y"] = box[3] + 1
                return
            for line, room, align in lines:
                desk.put(line, room, align, baseline)
            state["y"] = baseline

        def separator() -> None:
            if desk.chance(0.4):
                at = state["y"] + 0.6 * em
                sheet.rule(box[0], at, box[2], at, desk.between(0.7, 2.5), desk.grey)
                sheet.taken.append((box[0], at, box[2], at + 2))
            else:
                sign = desk.one(("-", "=", "*", "_", "- ", ".", "~"))
                sample = desk.line(sign * 10, type_)
                count = int(10 * width / sample.width) if sample is not None else 0
                line = desk.line(sign * count, type_) if count > 3 else None
                floor = desk.floor(box, state["y"] + em)
                if line is not None and line.width <= width + em and floor + em < box[3]:
                    top = round(floor + desk.between(0.2, 0.5) * em)
                    sheet.put(line, box[0], top, grey=desk.grey, labelled=False)
                    state["y"] = top + line.height
            state["y"] += 0.2 * em

        type_ = desk.body
        # The shop.
        align: Align = "middle" if desk.chance(0.75) else "start"
        if desk.chance(0.2):
            self._logo(desk, (box[0] + 0.3 * width, state["y"], box[0] + 0.7 * width, state["y"] + 0.2 * width))
            state["y"] += 0.22 * width
        row([(words.phrase(desk.whole(1, 4)), 0, 1, align)], desk.between(1.0, 1.8))
        for _ in range(desk.whole(1, 5)):
            text = (
                words.phrase(desk.whole(2, 6))
                if desk.chance(0.7)
                else f"{words.next()}: {set_.pattern(desk.one(_CODES))}"
            )
            row([(text, 0, 1, align)])
        if desk.chance(0.6):
            state["y"] += desk.between(0, 1.5) * em
            row([(words.phrase(desk.whole(1, 3)), 0, 1, "middle")], desk.between(1.0, 1.6))
        if desk.chance(0.5):
            separator()
        for _ in range(desk.whole(1, 5)):
            key = f"{words.phrase(desk.whole(1, 2), 16)}{desk.one((':', ' :', ''))}"
            value = set_.pattern(desk.one((*_DATES, *_CODES)))
            style = desk.rng.random()
            if style < 0.35:
                row([(f"{key} {value}", 0, 0.6, "start"), (set_.pattern(desk.one(_DATES)), 0.64, 1, "end")])
            elif style < 0.6:
                row([(key, 0, 0.36, "start"), (value, 0.4, 1, "start")])
            else:
                row([(f"{key} {value}", 0, 1, "start")])
        separator()
        # The goods.
        style = desk.whole(0, len(_GOODS) - 1)
        edges = _GOODS[style]
        if desk.chance(0.7):
            heads: list[tuple[str, float, float, Align]] = [(words.phrase(1, 12), *edges[0], "start")]
            heads += [(words.phrase(1, 8), *edge, "end") for edge in edges[1:]]
            row(heads)
            separator()
        for _ in range(desk.whole(1, 12)):
            name = words.phrase(desk.whole(1, 4))
            if desk.chance(0.3):
                name = f"{set_.pattern(_CODES[0])} {name}"
            figures = [
                set_.pattern(desk.one(_AMOUNTS if k == len(edges) - 2 else (*_COUNTS[:3], *_AMOUNTS[:2])))
                for k in range(len(edges) - 1)
            ]
            cells: list[tuple[str, float, float, Align]] = [
                (figure, *edge, "end") for figure, edge in zip(figures, edges[1:], strict=True)
            ]
            if desk.chance(0.35):
                row([(name, 0, 1, "start")])
                if desk.chance(0.7):
                    row([(set_.pattern(_CODES[0]), *edges[0], "start"), *cells])
                else:
                    row(cells)
            else:
                row([(name, *edges[0], "start"), *cells])
            if desk.chance(0.1):
                state["y"] += 0.5 * em
        separator()
        # What is to be paid.
        for _ in range(desk.whole(2, 7)):
            large = desk.chance(0.25)
            tall = (1.0, stretch[1] * desk.between(1.2, 1.8)) if large else None
            key = words.phrase(desk.whole(1, 4), 24) + desk.one((":", "", " :"))
            if desk.chance(0.5):
                row([(key, 0, 0.68, "end"), (set_.pattern(desk.one(_AMOUNTS)), 0.72, 1, "end")], 1.0, tall)
            else:
                row([(key, 0, 0.68, "start"), (set_.pattern(desk.one(_AMOUNTS)), 0.72, 1, "end")], 1.0, tall)
            if desk.chance(0.2):
                at = state["y"] + 0.5 * em
                sheet.rule(box[0] + 0.72 * width, at, box[2], at, 1.0, desk.grey)
        if desk.chance(0.4):
            separator()
        for _ in range(desk.whole(0, 7)):
            row([(words.phrase(desk.whole(2, 7)), 0, 1, desk.one(("middle", "start")))], desk.one((1.0, 1.0, 0.85)))
        if desk.chance(0.2) and state["y"] + 3 * em < box[3]:
            self._bars(desk, (box[0] + 0.2 * width, state["y"] + em, box[2] - 0.2 * width, state["y"] + 3 * em))

    # -- forms and tables -------------------------------------------------------------------------------------

    def _form(self, desk: _Desk) -> None:
        sheet, em = desk.sheet, desk.em
        box = inset((0, 0, sheet.width, sheet.height), desk.between(0.04, 0.1), desk.between(0.03, 0.09))
        y = self._heading(desk, box, box[1], desk.between(1.0, 1.9), desk.one(("middle", "start")))
        parts = (self._fields, self._fields, self._boxed_fields, self._ticks, self._grid, self._bar, self._sentences)
        while y + 4 * em < box[3]:
            below = (box[0], y + desk.between(0.5, 2.2) * em, box[2], box[3])
            y = max(desk.one(parts)(desk, below), y + 2 * em)

    def _value(self, desk: _Desk, width: float) -> Line | None:
        """What somebody has filled in."""
        text = self._set.pattern(desk.one((*_DATES, *_CODES, *_AMOUNTS))) if desk.chance(0.45) else ""
        text = text or self._set.words.phrase(desk.whole(1, 5))
        return desk.short(text, width, desk.other, max(round(desk.em * desk.between(0.9, 1.25)), _LEAST_EM))

    def _fields(self, desk: _Desk, box: Box) -> float:
        """Labels with lines to write on."""
        em, y = desk.em, box[1]
        count = desk.one((1, 1, 2, 2, 3))
        gap = desk.between(1.5, 2.8) * em
        aligned = desk.between(0.25, 0.55) if desk.chance(0.5) else 0.0
        for _ in range(desk.whole(2, 7)):
            y += gap
            if y + em > box[3]:
                break
            for left, _, right, _ in columns_of((box[0], y, box[2], y), count, 1.5 * em, self._set.rtl):
                room = right - left
                key = desk.short(self._set.words.phrase(desk.whole(1, 3), 24) + desk.one((":", "", ":")), 0.6 * room)
                if key is None:
                    continue
                desk.put(key, (left, 0, right, 0), "start", y)
                used = max(key.width + 0.6 * em, aligned * room)
                field = (left, 0.0, right - used, 0.0) if self._set.rtl else (left + used, 0.0, right, 0.0)
                if field[2] - field[0] < 2 * em:
                    continue
                if desk.chance(0.55):
                    sheet_y = y + 0.25 * em
                    desk.sheet.rule(field[0], sheet_y, field[2], sheet_y, desk.between(0.6, 1.5), desk.grey)
                if desk.chance(0.72):
                    desk.put(self._value(desk, field[2] - field[0]), field, "start", y)
        return y + 0.5 * em

    def _boxed_fields(self, desk: _Desk, box: Box) -> float:
        """Boxes with a small label in the corner and what was filled in below it."""
        em, y = desk.em, box[1]
        height = desk.between(2.4, 3.6) * em
        thick = desk.between(0.6, 2)
        small = max(round(0.72 * em), _LEAST_EM)
        for _ in range(desk.whole(1, 5)):
            if y + height > box[3]:
                break
            for cell in cut((box[0], y, box[2], y + height), desk.whole(1, 4), desk.rng):
                left, top, right, bottom = inset(cell, 0.0, 0.0)
                desk.sheet.frame(cell, thick, desk.grey)
                inner = (left + 0.3 * em, top, right - 0.3 * em, bottom)
                room = inner[2] - inner[0]
                key = desk.short(self._set.words.phrase(desk.whole(1, 3), 24), room, None, small)
                desk.put(key, inner, "start", top + 0.15 * em + (key.baseline if key else 0) + 2)
                value = self._value(desk, room) if desk.chance(0.7) else None
                if value is not None and value.height + (key.height if key else 0) + 0.3 * em + 6 < height:
                    desk.put(value, inner, "start", bottom - 3 - (value.height - value.baseline))
            y += height
        return y + 0.5 * em

    def _ticks(self, desk: _Desk, box: Box) -> float:
        """Boxes to tick."""
        em, y = desk.em, box[1]
        count = desk.whole(1, 4)
        side = desk.between(0.6, 0.95) * em
        for _ in range(desk.whole(1, 4)):
            y += desk.between(1.5, 2) * em
            if y + em > box[3]:
                break
            for left, _, right, _ in columns_of((box[0], y, box[2], y), count, em, self._set.rtl):
                x = right - side if self._set.rtl else left
                square = (x, y - side, x + side, y)
                desk.sheet.frame(square, desk.between(0.7, 1.8), desk.grey)
                if desk.chance(0.3):
                    corners = np.array(((x, y - side), (x + side, y), (x + side, y - side), (x, y)), np.int32)
                    cv2.polylines(desk.sheet.tone, [corners[:2], corners[2:]], False, desk.grey, 1, cv2.LINE_AA)
                room = (left, 0.0, right - 1.4 * em, 0.0) if self._set.rtl else (left + 1.4 * em, 0.0, right, 0.0)
                if room[2] - room[0] > 2 * em:
                    text = self._set.words.phrase(desk.whole(1, 4))
                    desk.put(desk.short(text, room[2] - room[0]), room, "start", y)
        return y + 0.5 * em

    def _grid(self, desk: _Desk, box: Box) -> float:
        height = min(desk.between(4, 16) * desk.em, box[3] - box[1])
        if height > 3 * desk.em:
            self._cells(desk, (box[0], box[1], box[2], box[1] + height), ruled=desk.chance(0.7))
        return box[1] + height

    def _bar(self, desk: _Desk, box: Box) -> float:
        """A section's title on a dark or grey bar."""
        em = desk.em
        bottom = box[1] + desk.between(1.5, 2.1) * em
        dark = desk.chance(0.6)
        if bottom > box[3]:
            return bottom
        desk.sheet.fill((box[0], box[1], box[2], bottom), desk.whole(0, 60) if dark else desk.whole(190, 235))
        line = desk.short(self._set.words.phrase(desk.whole(1, 5)), box[2] - box[0] - em, self._set.bold(desk.body))
        if line is not None and line.height < bottom - box[1] - 1:
            middle = (box[1] + bottom - line.height) / 2
            room = (box[0] + 0.5 * em, 0.0, box[2] - 0.5 * em, 0.0)
            desk.put(
                line, room, desk.one(("start", "middle")), round(middle) + line.baseline, 255 if dark else desk.grey
            )
        return bottom

    def _sentences(self, desk: _Desk, box: Box) -> float:
        return desk.paragraph(box, box[1], desk.between(1.15, 1.4), lines=desk.whole(1, 5), justified=False)

    def _table(self, desk: _Desk) -> None:
        sheet, em = desk.sheet, desk.em
        box = inset((0, 0, sheet.width, sheet.height), desk.between(0.03, 0.1), desk.between(0.03, 0.09))
        y = self._heading(desk, box, box[1], desk.between(1.0, 2.0), desk.one(("middle", "start")))
        while y + 6 * em < box[3]:
            if desk.chance(0.35):
                y = desk.paragraph(box, y + em, 1.3, lines=desk.whole(1, 4), justified=False)
                continue
            height = min(desk.between(6, 45) * em, box[3] - y - em)
            self._cells(desk, (box[0], y + em, box[2], y + em + height), ruled=desk.chance(0.5))
            y += height + 2 * em

    def _cells(self, desk: _Desk, box: Box, *, ruled: bool) -> None:
        """A table that fills a box: a row of heads, words and figures in columns."""
        em = desk.em
        count = desk.whole(2, 7)
        columns = cut(box, count, desk.rng, least=4 * em)
        if self._set.rtl:
            columns = columns[::-1]
        pitch = desk.between(1.35, 2.3) * em
        rows = max(2, int((box[3] - box[1]) / pitch))
        figures = [desk.chance(0.6) for _ in columns]
        figures[0] = desk.chance(0.15)
        pad = desk.between(0.25, 0.6) * em
        aligns: list[Align] = [desk.one(("end", "end", "middle")) if number else "start" for number in figures]
        thick = desk.between(0.6, 2)
        banded = not ruled and desk.chance(0.3)
        filled = desk.between(0.7, 1.0)
        bold = self._set.bold(desk.body)
        patterns = [[desk.one(_FIGURES), desk.one(_FIGURES)] for _ in columns]
        top = box[1]
        end = top + rows * pitch
        last = 0.0
        for number in range(rows):
            bottom = top + pitch
            if (number == 0 and desk.chance(0.4)) or (banded and number % 2):
                desk.sheet.fill((box[0], top, box[2], bottom), desk.whole(200, 240))
            baseline = round(top + 0.5 * (pitch + 0.7 * em))
            for column, is_figure, align, pattern in zip(columns, figures, aligns, patterns, strict=True):
                if number and not desk.chance(filled):
                    continue
                room = (column[0] + pad, top, column[2] - pad, bottom)
                if number == 0:
                    line = desk.short(self._set.words.phrase(2, 14), room[2] - room[0], bold)
                elif is_figure:
                    line = desk.short(self._set.pattern(desk.one(pattern)), room[2] - room[0])
                else:
                    line = desk.short(self._set.words.phrase(desk.whole(1, 4)), room[2] - room[0])
                # What would touch the next row or the last one is left out.
                if line is None or baseline - line.baseline < max(top - 0.2 * pitch, last + 1):
                    continue
                if baseline - line.baseline + line.height < bottom + 0.15 * pitch:
                    desk.put(line, room, align, baseline)
            last = max([last, *(taken[3] for taken in desk.sheet.taken[-len(columns) :] if taken[3] < bottom + pitch)])
            if ruled or number == 0:
                desk.sheet.rule(box[0], bottom, box[2], bottom, thick, desk.grey)
            top = bottom
        if ruled:
            desk.sheet.frame((box[0], box[1], box[2], end), thick, desk.grey)
            if desk.chance(0.7):
                for column in columns:
                    desk.sheet.rule(column[0], box[1], column[0], end, thick, desk.grey)

    # -- marks ------------------------------------------------------------------------------------------------

    def _marks(self, desk: _Desk) -> None:
        """A few things beside the text: some of them texts at odd angles, most of them none."""
        sheet, em = desk.sheet, desk.em
        for _ in range(desk.whole(1, 4)):
            kind = desk.rng.random()
            width, height = desk.between(3, 10) * em, desk.between(2, 6) * em
            x, y = desk.between(0, sheet.width - width), desk.between(0, sheet.height - height)
            box = (x, y, x + width, y + height)
            if kind < 0.2:
                self._scribble(desk, box)
            elif not sheet.is_free(box):
                continue
            elif kind < 0.35:
                self._stamp(desk, box)
            elif kind < 0.5:
                self._bars(desk, box)
            elif kind < 0.6:
                self._squares(desk, box)
            elif kind < 0.75:
                self._logo(desk, box)
            elif kind < 0.85:
                cv2.circle(
                    sheet.tone, (round(x + em), round(y + em)), round(desk.between(0.3, 0.9) * em), 0, -1, cv2.LINE_AA
                )
            else:
                line = desk.line(self._set.pattern(desk.one(_CODES)), desk.other, round(em * desk.between(0.9, 1.6)))
                quarters = desk.one((1, 3))
                if line is None or y + line.width > sheet.height or x + line.height > sheet.width:
                    continue
                if sheet.is_free((x, y, x + line.height, y + line.width)):
                    sheet.put(line, x, y, grey=desk.grey, quarters=quarters)

    def _ink(self, desk: _Desk) -> Image | None:
        """A layer of blue, red or violet ink, or None for the black one."""
        if desk.chance(0.4):
            return None
        return desk.sheet.layer(desk.one(((0.2, 0.7, 0.8), (0.8, 0.8, 0.15), (0.3, 0.8, 0.6), (0.7, 0.2, 0.8))))

    def _scribble(self, desk: _Desk, box: Box) -> None:
        """A signature, or a stroke of a pen."""
        count = desk.whole(4, 14)
        x = np.linspace(box[0], box[2], count) + desk.rng.normal(0, 0.08 * (box[2] - box[0]), count)
        y = desk.rng.uniform(box[1], box[3], count)
        knots = np.linspace(0, count - 1, 10 * count)
        smooth = [np.convolve(np.interp(knots, range(count), values), np.ones(9) / 9, "valid") for values in (x, y)]
        points = np.stack(smooth, 1).astype(np.float32)
        mask = np.zeros((desk.sheet.height, desk.sheet.width), np.uint8)
        cv2.polylines(mask, [(points * 8).astype(np.int32)], False, 255, desk.whole(1, 3), cv2.LINE_AA, 3)
        desk.sheet.blend(mask, 0, 0, desk.whole(0, 90), self._ink(desk))
        desk.sheet.taken.append(box)

    def _stamp(self, desk: _Desk, box: Box) -> None:
        """A ring or frame with a text in it, askew."""
        sheet, em = desk.sheet, desk.em
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        angle = math.radians(desk.between(-25, 25))
        line = desk.short(
            self._set.words.phrase(desk.whole(1, 2)), 0.8 * (box[2] - box[0]), desk.other, round(1.1 * em)
        )
        if line is None:
            return
        layer = self._ink(desk)
        half = (line.width / 2 + 0.7 * em, line.height / 2 + 0.6 * em)
        if desk.chance(0.5):
            half = (max(half), max(half))
        outer = (middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1])
        if not sheet.is_free(outer) or min(outer[:2]) < 0 or outer[2] > sheet.width or outer[3] > sheet.height:
            return
        ring = np.zeros((sheet.height, sheet.width), np.uint8)
        thick = desk.whole(1, 3)
        if half[0] == half[1]:
            cv2.circle(ring, (round(middle[0]), round(middle[1])), round(half[0]), 255, thick, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints(((middle[0], middle[1]), (2 * half[0], 2 * half[1]), math.degrees(angle)))
            cv2.polylines(ring, [(corners * 8).astype(np.int32)], True, 255, thick, cv2.LINE_AA, 3)
        grey = desk.whole(0, 100)
        sheet.blend(ring, 0, 0, grey, layer)
        sheet.put_turned(line, *middle, angle, grey=grey, layer=layer)

    def _bars(self, desk: _Desk, box: Box) -> None:
        """A bar code."""
        x, end = box[0], box[2]
        unit = max(1.0, desk.em / desk.between(8, 14))
        while x < end:
            wide = unit * desk.whole(1, 3)
            desk.sheet.fill((x, box[1], min(x + wide, end), box[3]), desk.grey)
            x += wide + unit * desk.whole(1, 3)
        desk.sheet.taken.append(box)

    def _squares(self, desk: _Desk, box: Box) -> None:
        """A matrix code."""
        side = int(min(box[2] - box[0], box[3] - box[1]))
        cells = desk.whole(15, 29)
        code = (desk.rng.random((cells, cells)) < 0.5).astype(np.uint8) * 255
        mask = cv2.resize(code, (side, side), interpolation=cv2.INTER_NEAREST)
        desk.sheet.blend(mask, round(box[0]), round(box[1]), desk.grey)
        desk.sheet.taken.append((box[0], box[1], box[0] + side, box[1] + side))

    def _logo(self, desk: _Desk, box: Box) -> None:
        """A few shapes upon each other."""
        width, height = round(box[2] - box[0]), round(box[3] - box[1])
        mask = np.zeros((max(height, 4), max(width, 4)), np.uint8)
        for _ in range(desk.whole(1, 4)):
            centre = (desk.whole(0, width), desk.whole(0, height))
            shade = desk.one((255, 255, 0, 140))
            if desk.chance(0.5):
                axes = (desk.whole(2, max(2, width // 2)), desk.whole(2, max(2, height // 2)))
                cv2.ellipse(mask, centre, axes, desk.between(0, 180), 0, 360, shade, desk.one((-1, 2, 4)), cv2.LINE_AA)
            else:
                points = desk.rng.uniform((0, 0), (width, height), (desk.whole(3, 6), 2)).astype(np.int32)
                cv2.fillPoly(mask, [points], shade, cv2.LINE_AA)
        desk.sheet.blend(mask, round(box[0]), round(box[1]), desk.grey, self._ink(desk) if desk.chance(0.3) else None)
        desk.sheet.taken.append(box)
