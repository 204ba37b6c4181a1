"""The Unicode bidirectional algorithm, UAX #9, for one line.

`levels` is what the rest uses; `resolve` is the same on bidi class names. Rule numbers are those of UAX #9.
L3 (marks before their base) and L4 (mirrored glyphs) are the shaper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from synth.text.ucd import BRACKETS, bidi_class

Direction = Literal["auto", "ltr", "rtl"]

_MAX_DEPTH: Final = 125  # BD2
_MAX_BRACKETS: Final = 63  # BD16
_EMBEDDINGS: Final = {"LRE": (0, "ON"), "RLE": (1, "ON"), "LRO": (0, "L"), "RLO": (1, "R")}
_ISOLATES: Final = frozenset({"LRI", "RLI", "FSI"})
_ISOLATE_CONTROLS: Final = _ISOLATES | {"PDI"}
_REMOVED: Final = frozenset({*_EMBEDDINGS, "PDF", "BN"})  # X9
_EXPLICIT: Final = _ISOLATE_CONTROLS | _REMOVED - {"BN"}
_NEUTRAL: Final = frozenset({"B", "S", "WS", "ON"}) | _ISOLATE_CONTROLS
_WEAK: Final = frozenset({"EN", "ES", "ET", "CS"})
_TRAILING: Final = frozenset({"WS"}) | _ISOLATE_CONTROLS
_SEPARATORS: Final = frozenset({"S", "B"})
# For direction of neutrals and brackets numbers count as R (N0, N1).
_STRONG: Final = {"L": "L", "R": "R", "EN": "R", "AN": "R"}
_LETTER: Final = "LR"  # of a level's parity
_RAISE: Final = ({"L": 0, "R": 1, "AN": 2, "EN": 2}, {"L": 1, "R": 0, "AN": 1, "EN": 1})  # I1, I2

# Without these a left-to-right line is level 0 throughout, and without those a right-to-left one is level 1 throughout.
_NOT_PLAIN_LTR: Final = frozenset({"R", "AL", "AN"}) | _EXPLICIT
_NOT_PLAIN_RTL: Final = frozenset({"L", "EN", "AN", "B"}) | _EXPLICIT


class _Classes(dict[str, str]):
    """Bidi class by character, looked up once each."""

    def __missing__(self, character: str) -> str:
        name = self[character] = bidi_class(character)
        return name


_CLASSES: Final = _Classes()
_class_of: Final = _CLASSES.__getitem__


def isolated(text: str) -> str:
    """`text` between U+2068 and U+2069 (UAX #9, first strong isolate) if any of it runs from right to left.

    In a terminal that reorders lines, what stands beside it in a list keeps its place then.
    """
    return f"\u2068{text}\u2069" if any(bidi_class(c) in ("R", "AL", "AN") for c in text) else text


def levels(text: str, direction: Direction = "auto") -> tuple[list[int], int]:
    """Embedding levels of a text that stands on one line.

    Args:
        text: one paragraph, in logical order. What follows a paragraph separator in it keeps the first one's direction.
        direction: the paragraph's; `auto` is that of the first strong character (P2, P3), left to right without one.

    Returns:
        The level of each code point after rule L1 (even: left to right, odd: right to left), and the paragraph's level.
        Characters that rule X9 takes out have the level of the one before them, or the paragraph's: `resolve` marks
        them.
    """
    if direction != "rtl" and text.isascii():
        return [0] * len(text), 0
    classes = list(map(_class_of, text))
    present = frozenset(classes)
    if direction != "rtl" and present.isdisjoint(_NOT_PLAIN_LTR):
        return [0] * len(text), 0
    if present.isdisjoint(_NOT_PLAIN_RTL) and (direction == "rtl" or (direction == "auto" and present & {"R", "AL"})):
        found, base = [1] * len(text), 1
    else:
        brackets = {i: BRACKETS[c] for i, c in enumerate(text) if c in BRACKETS} if "ON" in present else {}
        found, base = resolve(classes, {"auto": None, "ltr": 0, "rtl": 1}[direction], brackets)
        before = base
        for i, level in enumerate(found):
            if level < 0:
                found[i] = before
            else:
                before = level
    return found, base


def resolve(
    classes: Sequence[str], base: int | None = None, brackets: Mapping[int, int] | None = None
) -> tuple[list[int], int]:
    """Embedding levels of a line given as bidi classes: rules P2 to I2, and L1.

    Args:
        classes: short names of Bidi_Class (UAX #44), one per character of one paragraph.
        base: the paragraph's level, 0 or 1; None to take it from the first strong character.
        brackets: paired brackets by position: a positive number opens, its negative closes that pair.

    Returns:
        The level of each character, -1 for those that rule X9 takes out, and the paragraph's level.
    """
    present = frozenset(classes)
    kinds = list(classes)
    if present.isdisjoint(_EXPLICIT):
        if base is None:
            base = _first_strong(classes, 0, len(classes), {})
        found = [base] * len(kinds)
        order = list(range(len(kinds)))
        if "BN" in present:
            order = [i for i in order if kinds[i] != "BN"]
            found = [-1 if kind == "BN" else base for kind in kinds]
        sequences = [(order, base, base)]
    else:
        matches = _matching_pdis(classes)
        if base is None:
            base = _first_strong(classes, 0, len(classes), matches)
        found = _explicit(kinds, base, matches)
        sequences = _sequences(classes, found, base, matches)
    for order, before, after in sequences:
        if not order:
            continue
        level = found[order[0]]
        embedding, sos, eos = _LETTER[level & 1], _LETTER[max(level, before) & 1], _LETTER[max(level, after) & 1]
        own = [kinds[i] for i in order]
        marks = [kind == "NSM" for kind in own] if brackets else []
        _weak(own, sos)
        if brackets:
            _pair_brackets(own, [brackets.get(i, 0) for i in order], marks, embedding, sos)
        _neutrals(own, embedding, sos, eos)
        raised = _RAISE[level & 1]
        for i, kind in zip(order, own, strict=True):
            found[i] = level + raised[kind]
    _reset_whitespace(classes, found, base)
    return found, base


def _matching_pdis(classes: Sequence[str]) -> dict[int, int]:
    """Position of an isolate initiator → that of its PDI (BD9)."""
    matches: dict[int, int] = {}
    opened: list[int] = []
    for i, kind in enumerate(classes):
        if kind in _ISOLATES:
            opened.append(i)
        elif kind == "PDI" and opened:
            matches[opened.pop()] = i
        elif kind == "B":
            opened.clear()
    return matches


def _first_strong(classes: Sequence[str], start: int, end: int, matches: Mapping[int, int]) -> int:
    """Level of the first strong character outside isolates, 0 without one (P2, P3)."""
    i = start
    while i < end:
        kind = classes[i]
        if kind == "L":
            return 0
        if kind in ("R", "AL"):
            return 1
        if kind == "B":
            return 0
        if kind in _ISOLATES:
            i = matches.get(i, end)
        i += 1
    return 0


def _explicit(kinds: list[str], base: int, matches: Mapping[int, int]) -> list[int]:
    """Levels by explicit controls, -1 for characters taken out (X1 to X9); overrides are written into `kinds`."""
    found = [-1] * len(kinds)
    stack = [(base, "ON", False)]
    overflow_isolates = overflow_embeddings = open_isolates = 0
    for i, kind in enumerate(kinds):
        level, override, _ = stack[-1]
        if kind in _EMBEDDINGS:  # X2 to X5
            parity, forced = _EMBEDDINGS[kind]
            deeper = level + 1 + (level + 1 + parity) % 2
            if deeper <= _MAX_DEPTH and not overflow_isolates and not overflow_embeddings:
                stack.append((deeper, forced, False))
            elif not overflow_isolates:
                overflow_embeddings += 1
        elif kind in _ISOLATES:  # X5a to X5c
            found[i] = level
            if override != "ON":
                kinds[i] = override
            parity = int(kind == "RLI")
            if kind == "FSI":
                parity = _first_strong(kinds, i + 1, matches.get(i, len(kinds)), matches)
            deeper = level + 1 + (level + 1 + parity) % 2
            if deeper <= _MAX_DEPTH and not overflow_isolates and not overflow_embeddings:
                open_isolates += 1
                stack.append((deeper, "ON", True))
            else:
                overflow_isolates += 1
        elif kind == "PDI":  # X6a
            if overflow_isolates:
                overflow_isolates -= 1
            elif open_isolates:
                overflow_embeddings = 0
                while not stack[-1][2]:
                    stack.pop()
                stack.pop()
                open_isolates -= 1
            level, override, _ = stack[-1]
            found[i] = level
            if override != "ON":
                kinds[i] = override
        elif kind == "PDF":  # X7
            if overflow_isolates:
                continue
            if overflow_embeddings:
                overflow_embeddings -= 1
            elif not stack[-1][2] and len(stack) > 1:
                stack.pop()
        elif kind == "B":  # X8
            found[i] = base
            del stack[1:]
            overflow_isolates = overflow_embeddings = open_isolates = 0
        elif kind != "BN":  # X6
            found[i] = level
            if override != "ON":
                kinds[i] = override
    return found


def _sequences(
    classes: Sequence[str], found: Sequence[int], base: int, matches: Mapping[int, int]
) -> list[tuple[list[int], int, int]]:
    """Isolating run sequences (BD13, X10): positions, level before the first, level after the last."""
    kept = [i for i, level in enumerate(found) if level >= 0]
    initiators = {pdi: initiator for initiator, pdi in matches.items()}
    sequences: list[tuple[list[int], int, int]] = []
    waiting: dict[int, int] = {}  # initiator that ends a run → number of its sequence
    start = 0
    while start < len(kept):
        level = found[kept[start]]
        end = start + 1
        while end < len(kept) and found[kept[end]] == level:
            end += 1
        run = kept[start:end]
        after = found[kept[end]] if end < len(kept) else base
        if classes[run[-1]] in _ISOLATES and run[-1] not in matches:
            after = base
        number = waiting.pop(initiators.get(run[0], -1), None)
        if number is None:
            number = len(sequences)
            sequences.append((run, found[kept[start - 1]] if start else base, after))
        else:
            order, before, _ = sequences[number]
            order += run
            sequences[number] = (order, before, after)
        if run[-1] in matches:
            waiting[run[-1]] = number
        start = end
    return sequences


def _weak(own: list[str], sos: str) -> None:
    """Marks, numbers and what belongs to them (W1 to W7): leaves L, R, EN, AN and neutrals."""
    previous = strong = sos
    for i, kind in enumerate(own):  # W1 to W3
        if kind == "NSM":
            own[i] = kind = "ON" if previous in _ISOLATE_CONTROLS else previous
        previous = kind
        if kind == "AL":
            strong = kind
            own[i] = "R"
        elif kind == "L" or kind == "R":
            strong = kind
        elif kind == "EN" and strong == "AL":
            own[i] = "AN"
    if _WEAK.isdisjoint(own):
        return
    for i in range(1, len(own) - 1):  # W4
        if own[i] in ("ES", "CS"):
            number = own[i - 1]
            if number == own[i + 1] and (number == "EN" or (number == "AN" and own[i] == "CS")):
                own[i] = number
    strong = sos
    after_number = False
    i = 0
    while i < len(own):  # W5 to W7
        kind = own[i]
        end = i + 1
        if kind == "ET":
            while end < len(own) and own[end] == "ET":
                end += 1
            kind = "EN" if after_number or (end < len(own) and own[end] == "EN") else "ON"
        elif kind in ("ES", "CS"):
            kind = "ON"
        elif kind == "L" or kind == "R":
            strong = kind
        after_number = kind == "EN"
        own[i:end] = ["L" if after_number and strong == "L" else kind] * (end - i)
        i = end


def _bracket_pairs(own: Sequence[str], brackets: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of brackets that are still neutral, by position of the opening one (BD16)."""
    pairs: list[tuple[int, int]] = []
    opened: list[tuple[int, int]] = []
    for i, bracket in enumerate(brackets):
        if not bracket or own[i] != "ON":
            continue
        if bracket > 0:
            if len(opened) == _MAX_BRACKETS:
                break  # "stop processing BD16": the pairs found so far stay
            opened.append((bracket, i))
        else:
            for depth in range(len(opened) - 1, -1, -1):
                if opened[depth][0] == -bracket:
                    pairs.append((opened[depth][1], i))
                    del opened[depth:]
                    break
    return sorted(pairs)


def _pair_brackets(own: list[str], brackets: Sequence[int], marks: Sequence[bool], embedding: str, sos: str) -> None:
    """Give bracket pairs the direction of what they hold or stand in (N0)."""
    context, at = sos, 0
    for opening, closing in _bracket_pairs(own, brackets):
        while at < opening:
            context = _STRONG.get(own[at], context)
            at += 1
        inside = {_STRONG[kind] for kind in own[opening + 1 : closing] if kind in _STRONG}
        if not inside:
            continue
        # Without the embedding direction inside there is only the other one: it holds if the context has it too.
        direction = embedding if embedding in inside else context
        for bracket in (opening, closing):
            own[bracket] = direction
            mark = bracket + 1
            while mark < len(own) and marks[mark]:
                own[mark] = direction
                mark += 1


def _neutrals(own: list[str], embedding: str, sos: str, eos: str) -> None:
    """Neutrals between like directions take it, others that of the embedding (N1, N2)."""
    left = sos
    i = 0
    while i < len(own):
        end = i + 1
        if own[i] in _NEUTRAL:
            while end < len(own) and own[end] in _NEUTRAL:
                end += 1
            right = _STRONG[own[end]] if end < len(own) else eos
            own[i:end] = [left if left == right else embedding] * (end - i)
        else:
            left = _STRONG[own[i]]
        i = end


def _reset_whitespace(classes: Sequence[str], found: list[int], base: int) -> None:
    """Separators, and white space before them or at the line's end, take the paragraph's level (L1)."""
    trailing = True
    for i in range(len(found) - 1, -1, -1):
        if found[i] < 0:
            continue
        kind = classes[i]
        if kind in _SEPARATORS:
            trailing = True
        elif kind not in _TRAILING:
            trailing = False
        if trailing:
            found[i] = base


def runs(levels: Sequence[int]) -> list[tuple[int, int, int]]:
    """Runs of one level as (start, end, level), from left to right as they are seen (rule L2).

    The characters of a run with an odd level are seen from its end to its start.
    """
    if levels and levels.count(levels[0]) == len(levels):
        return [(0, len(levels), levels[0])]
    found: list[tuple[int, int, int]] = []
    start = 0
    for i in range(1, len(levels) + 1):
        if i == len(levels) or levels[i] != levels[start]:
            found.append((start, i, levels[start]))
            start = i
    lowest_odd = min((level for _, _, level in found if level & 1), default=_MAX_DEPTH + 2)
    for level in range(max((level for _, _, level in found), default=0), lowest_odd - 1, -1):
        i = 0
        while i < len(found):
            end = i
            while end < len(found) and found[end][2] >= level:
                end += 1
            found[i:end] = found[i:end][::-1]
            i = end + 1
    return found


def visual_order(levels: Sequence[int]) -> list[int]:
    """Positions of the characters from left to right as they are seen (rule L2); levels as from `levels`."""
    order: list[int] = []
    for start, end, level in runs(levels):
        order += range(end - 1, start - 1, -1) if level & 1 else range(start, end)
    return order
