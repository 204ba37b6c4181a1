"""Which face draws a text: an even choice among those that cover it, with fallback for what the chosen one lacks."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache

import numpy as np
import regex
import unicodedata2
from fontTools import unicodedata as ucd

from augment.errors import ScriptoriumError
from synth.fonts.face import Face
from synth.fonts.index import FaceInfo
from synth.recipe import Fonts
from synth.render.shape import Undrawable, script_of, shape_run
from synth.text.units import split_units

# Scripts that are wrong without the font's own shaping tables, by ISO 15924 code. Hebrew, Thai or Lao marks HarfBuzz
# can place by itself.
# fmt: off
SHAPED: frozenset[str] = frozenset(
    {
        "Arab", "Syrc", "Mand", "Mong", "Nkoo", "Phag", "Adlm", "Rohg", "Deva", "Beng", "Guru", "Gujr", "Orya", "Taml",
        "Telu", "Knda", "Mlym", "Sinh", "Khmr", "Mymr", "Tibt", "Java", "Bali", "Sund", "Lana", "Cham", "Talu", "Tale",
        "Cakm", "Limb", "Newa", "Tirh", "Sylo", "Modi", "Gran", "Brah", "Kthi", "Shrd", "Takr", "Sidd",
    }
)
# fmt: on
# Two consonants that every proper font of the script joins. Some fonts have the script's tag and a few of its
# ligatures, yet show the second one whole or the sign between the two, as GNU FreeFont does in Bengali and Devanagari.
_JOINED = {
    "Deva": "प्र",
    "Beng": "প্র",
    "Guru": "ਪ੍ਰ",
    "Gujr": "પ્ર",
    "Orya": "ପ୍ର",
    "Telu": "ప్ర",
    "Knda": "ಪ್ರ",
    "Mlym": "പ്ര",
    "Sinh": "ප්\u200dර",
    "Khmr": "ប្រ",
    "Mymr": "န္တ",
}
# Fonts for Chinese and Japanese set these in squares, П о е з д: right among Han, and nowhere else.
_split_sign = regex.compile(r"[\p{InPC=Left_And_Right}\p{InPC=Top_And_Left}\p{InPC=Top_And_Left_And_Right}]")
_WIDE = frozenset({"Grek", "Cyrl"})
_HAN = 0x4E00
_TRIES = 8
_FAMILIES = 256  # sets of faces kept sorted by family: each lists up to thousands of faces
# Any face will do for these: HarfBuzz makes spaces from others, and joiners are never drawn.
_DRAWN_WITHOUT_INK = frozenset(" \u00a0\u200c\u200d\u2009\u202f\u3000\t")


class Uncovered(Exception):
    """No face draws some of a text's characters; `characters` names them."""

    def __init__(self, characters: str) -> None:
        super().__init__(characters)
        self.characters = characters


def needed_tags(script: str) -> frozenset[str]:
    """OpenType script tags of which GSUB or GPOS must have one for `script` to be shaped right; empty: none needed."""
    if script not in SHAPED:
        return frozenset()
    return frozenset(tag for tag in ucd.ot_tags_from_script(script) if tag != "DFLT")


class FontBook:
    """The faces of a recipe.

    Args:
        faces: indexed faces.
        config: the recipe's `fonts` section.
        max_open: faces kept open at once.

    Choice is even over families first and over the faces of a family second, so that a family of seventy weights counts
    as much as one of two.

    Raises:
        ScriptoriumError: there are no faces.
    """

    def __init__(self, faces: Sequence[FaceInfo], config: Fonts, max_open: int = 96) -> None:
        if not faces:
            raise ScriptoriumError("no usable font found: give --fonts DIR or run `synth fonts install SCRIPT`")
        self.faces = tuple(faces)
        self._numbers = {face: number for number, face in reversed(list(enumerate(self.faces)))}
        self._config = config
        self._open: OrderedDict[tuple[int, int], Face] = OrderedDict()
        self._max_open = max_open
        # Sets of faces are bits of an integer: a text is covered by the conjunction over its characters.
        self._all = (1 << len(self.faces)) - 1
        self._able: dict[str, int] = {}
        self._proper: dict[tuple[int, str], bool] = {}
        self._families: dict[int, list[list[int]]] = {}
        self._weighing: dict[tuple[int, int, bool], int] = {}
        members: dict[str, int] = {}
        self._names: dict[str, int] = {}
        for number, face in enumerate(self.faces):
            name = " ".join(filter(None, (face.family, face.style)))
            self._names[name] = self._names.get(name, 0) | 1 << number
            members[face.family] = members.get(face.family, 0) | 1 << number
        self._members = [members[name] for name in sorted(members)]

    def able(self, character: str) -> int:
        """The faces that draw a character rightly, as bits in the order of `faces`."""
        bits = self._able.get(character)
        if bits is None:
            bits = 0
            point = ord(character)
            script = script_of(character)
            tags = needed_tags(script)
            for number, face in enumerate(self.faces):
                if not face.covers(point) or (
                    script in _WIDE and face.covers(_HAN) and self._is_full_width(number, point)
                ):
                    continue
                if not tags or (tags & face.scripts and self._shapes(number, script)):
                    bits |= 1 << number
            self._able[character] = bits
        return bits

    def covering(self, text: str) -> int:
        """The faces that draw all characters of a text rightly, as bits in the order of `faces`."""
        bits = self._all
        for character in text:
            if character not in _DRAWN_WITHOUT_INK:
                bits &= self.able(character)
        return bits

    def _is_full_width(self, number: int, point: int) -> bool:
        if not self.faces[number].covers(_HAN):
            return False
        face = self._opened(number, 0)
        glyph = face.hb.get_nominal_glyph(point)
        return bool(glyph and face.hb.get_glyph_h_advance(glyph) >= face.upem)

    def _shapes(self, number: int, script: str) -> bool:
        """Whether a face that has a script's tag also does what all proper fonts of the script do."""
        proper = self._proper.get((number, script))
        if proper is None:
            proper = True
            if script in _JOINED or _vowel_signs(script):
                face = self._opened(number, 0)
                proper = _joins(face, script) and _gives_room(face, script) and _surrounds(face, script)
            self._proper[number, script] = proper
        return proper

    def bit(self, info: FaceInfo) -> int:
        """The bit that stands for one of the faces in what `able` and `covering` return."""
        return 1 << self._numbers[info]

    def named(self, name: str) -> int:
        """The faces that have a name (`Face.name`, without a variable font's coordinates), as bits; 0: none."""
        return self._names.get(name, 0)

    def weighing(self, low: int, high: int, *, italic: bool) -> int:
        """The faces, italic or upright, of a range of weights (OS/2, 1 to 1000), as bits; of variable ones all."""
        bits = self._weighing.get((low, high, italic))
        if bits is None:
            bits = 0
            for number, face in enumerate(self.faces):
                varies = any(axis.tag == "wght" for axis in face.axes) and self._config.variations
                if face.italic == italic and (varies or low <= face.weight <= high):
                    bits |= 1 << number
            self._weighing[low, high, italic] = bits
        return bits

    def open(self, info: FaceInfo) -> Face:
        """One of the faces, opened, as the font file has it by default."""
        return self._opened(self._numbers[info], 0)

    def choose(self, text: str, rng: np.random.Generator, among: int = -1) -> list[tuple[Face, int, int]]:
        """Faces for a text as (face, start, stop), in logical order, covering it.

        Args:
            text: NFC, logical order.
            rng: draws the face.
            among: faces to prefer, as bits in the order of `faces`, where some of them cover the text; -1: all.

        Raises:
            Uncovered: some characters are in no face.
        """
        able = self._able
        bits = self._all
        for character in text:
            try:
                bits &= able[character]
            except KeyError:
                bits &= self._all if character in _DRAWN_WITHOUT_INK else self.able(character)
        if bits:
            return [(self._pick(bits & among or bits, rng), 0, len(text))]
        return self._fall_back(text, rng)

    def _pick(self, bits: int, rng: np.random.Generator) -> Face:
        # Texts have as many different sets of faces as there are gaps in fonts, so first a family is tried that was
        # picked among all: most draw most texts. The choice is even over the families of `bits` either way.
        names = self._members
        for _ in range(_TRIES):
            able = names[int(rng.random() * len(names))] & bits
            if able:
                for _ in range(int(rng.random() * able.bit_count())):
                    able &= able - 1
                return self._face((able & -able).bit_length() - 1, rng)
        families = self._families.get(bits)
        if families is None:
            named: dict[str, list[int]] = {}
            for number in _numbers(bits):
                named.setdefault(self.faces[number].family, []).append(number)
            families = self._families[bits] = [named[name] for name in sorted(named)]
            if len(self._families) > _FAMILIES:
                del self._families[next(iter(self._families))]
        family = families[int(rng.random() * len(families))]
        return self._face(family[int(rng.random() * len(family))], rng)

    def _face(self, number: int, rng: np.random.Generator) -> Face:
        info = self.faces[number]
        variation = 0
        if info.axes and self._config.variations:
            variation = int(rng.random() * (self._config.variations + 1))
        return self._opened(number, variation)

    def _opened(self, number: int, variation: int) -> Face:
        key = (number, variation)
        face = self._open.get(key)
        if face is None:
            info = self.faces[number]
            face = self._open[key] = Face(info, _coordinates(info, variation))
            if len(self._open) > self._max_open:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(key)
        return face

    def _fall_back(self, text: str, rng: np.random.Generator) -> list[tuple[Face, int, int]]:
        clusters = split_units(text, "grapheme")
        needs: list[int] = []
        lacking: set[str] = set()
        for cluster in clusters:
            bits = self._all
            for character in cluster:
                if character not in _DRAWN_WITHOUT_INK:
                    bits &= self.able(character)
            needs.append(bits)
            if not bits:
                lacking.update(c for c in cluster if c not in _DRAWN_WITHOUT_INK and not self.able(c))
                lacking.update(() if lacking else cluster)
        if lacking:
            raise Uncovered("".join(sorted(lacking)))
        if not self._config.fallback:
            raise Uncovered("".join(sorted(set(text) - _DRAWN_WITHOUT_INK)))
        # The main face draws most of the letters; others fill in, as few as can be.
        weights = [sum(c.isalpha() for c in cluster) + 0.01 for cluster in clusters]
        chosen: list[Face] = []
        which = [-1] * len(clusters)
        while -1 in which:
            score: defaultdict[int, float] = defaultdict(float)
            for i, bits in enumerate(needs):
                if which[i] < 0:
                    for number in _numbers(bits):
                        score[number] += weights[i]
            best = max(score.values())
            face = self._pick(sum(1 << n for n, s in score.items() if s > best - 1e-6), rng)
            bit = self.bit(face.info)
            for i, bits in enumerate(needs):
                if which[i] < 0 and bits & bit:
                    which[i] = len(chosen)
            chosen.append(face)
        runs: list[tuple[Face, int, int]] = []
        at = 0
        for cluster, k in zip(clusters, which, strict=True):
            if runs and runs[-1][0] is chosen[k]:
                runs[-1] = (chosen[k], runs[-1][1], at + len(cluster))
            else:
                runs.append((chosen[k], at, at + len(cluster)))
            at += len(cluster)
        return runs


@cache
def _letters_and_signs() -> dict[str, tuple[str, str]]:
    """By script of SHAPED, all of which are in these blocks: letters, and vowel signs that take room (category Mc)."""
    found: dict[str, tuple[str, str]] = {}
    for character in map(chr, (*range(0x900, 0x1D00), *range(0xA800, 0xAC00), *range(0x11000, 0x12000))):
        category = unicodedata2.category(character)
        if category in ("Lo", "Mc") and (script := script_of(character)) in SHAPED:
            letters, signs = found.get(script, ("", ""))
            if category == "Lo":
                letters += character
            elif "VOWEL SIGN" in unicodedata2.name(character):
                signs += character
            found[script] = letters, signs
    return found


def _vowel_signs(script: str) -> str:
    return _letters_and_signs().get(script, ("", ""))[1]


def _joins(face: Face, script: str) -> bool:
    """Whether a face forms the conjunct that all fonts of a script should; so it is when it lacks the letters."""
    text = _JOINED.get(script)
    if text is None:
        return True
    try:
        run = shape_run(face, text, 0, len(text), rtl=False, script=script)
    except Undrawable:
        return True
    return {face.hb.get_nominal_glyph(ord(character)) for character in (text[1], text[-1])}.isdisjoint(run.glyphs)


def _gives_room(face: Face, script: str) -> bool:
    """Whether no vowel sign that stands beside its consonant lies upon a neighbour instead.

    HarfBuzz takes the advance from glyphs that GDEF classes as marks, since an anchor should place them. LKLUG
    (Sinhala) classes signs as marks that have an advance and no anchor.
    """
    letters = [letter for letter in _letters_and_signs()[script][0] if face.info.covers(ord(letter))]
    for sign in _vowel_signs(script):
        glyph = face.hb.get_nominal_glyph(ord(sign))
        width = face.hb.get_glyph_h_advance(glyph) if glyph else 0
        if width < 0.1 * face.upem:
            continue
        for number, letter in enumerate(letters):
            with suppress(Undrawable):  # a dotted circle: no letter that takes signs
                run = shape_run(face, letter + sign, 0, 2, rtl=False, script=script)
                places = zip(run.glyphs, run.advances, run.x_offsets, run.y_offsets, strict=True)
                # without GPOS, HarfBuzz moves what it takes for a mark back by its width
                if not {(glyph, 0, 0, 0), (glyph, 0, -width, 0)}.isdisjoint(places):
                    return False
                letters = letters[number:]
                break
    return True


def _surrounds(face: Face, script: str) -> bool:
    """Whether vowel signs with a part before the consonant and one after or above it do not stand before it whole.

    HarfBuzz leaves them whole where the font has no glyphs for the parts or, in Sinhala, seems to take them apart by
    itself (feature pstf); GNU FreeFont's bold has that feature, and yet does not.
    """
    letters = [letter for letter in _letters_and_signs()[script][0] if face.info.covers(ord(letter))]
    for sign in filter(_split_sign.match, _vowel_signs(script)):
        whole = face.hb.get_nominal_glyph(ord(sign))
        for number, letter in enumerate(letters if whole else ()):
            with suppress(Undrawable):  # a dotted circle: no letter that takes signs
                if shape_run(face, letter + sign, 0, 2, rtl=False, script=script).glyphs[0] == whole:
                    return False
                letters = letters[number:]
                break
    return True


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _coordinates(info: FaceInfo, variation: int) -> dict[str, float] | None:
    """Design coordinates of the `variation`-th cut of a variable face, the same for the same font file.

    0 is the face's default, the others are spread at random over its axes.
    """
    if not variation:
        return None
    rng = np.random.default_rng([int(info.digest[:12], 16), info.number, variation])
    return {a.tag: float(np.round(a.minimum + rng.random() * (a.maximum - a.minimum), 2)) for a in info.axes}
