r"""Patterns for numbers, dates, prices and codes: a bounded subset of regular expressions, drawn from.

What there is: literal characters; `\` before a sign for the sign itself; `\d` for a digit (of any ten characters);
classes `[A-Z0-9_]` with ranges; `(a|b|c)`, each alternative as likely; `{n}`, `{m,n}` and `?`, each number as likely.
What has no end (`*`, `+`, `{n,}`) or no meaning here (`.`, `^`, `$`, `[^…]`) is an error unless escaped.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Final, NoReturn

import numpy as np

from augment.errors import ScriptoriumError
from synth.text.corpus import undrawable

MAX_LENGTH: Final = 1000
"""Longest text that a pattern may stand for, in code points."""
MAX_DEPTH: Final = 50
"""Most groups inside each other."""

_SIGNS: Final = frozenset("\\|()[]{}?*+.^$")

# Gives the next of a list of uniform numbers in [0, 1).
_Next = Callable[[], float]


class _Piece(ABC):
    """A part of a pattern: its longest text, the most numbers it takes, its `re` pattern and its characters."""

    longest: int
    takes: int
    regex: str
    characters: frozenset[str]

    @abstractmethod
    def write(self, out: list[str], following: _Next) -> None:
        """Append a text drawn by the numbers that `following` gives."""


class _Text(_Piece):
    def __init__(self, text: str) -> None:
        self.text = text
        self.longest, self.takes = len(text), 0
        self.regex, self.characters = re.escape(text), frozenset(text)

    def write(self, out: list[str], following: _Next) -> None:
        out.append(self.text)


class _Class(_Piece):
    def __init__(self, alphabet: str) -> None:
        self.alphabet, self.size = alphabet, len(alphabet)
        self.longest = self.takes = 1
        self.regex, self.characters = "[" + "".join(map(re.escape, alphabet)) + "]", frozenset(alphabet)

    def write(self, out: list[str], following: _Next) -> None:
        out.append(self.alphabet[int(following() * self.size)])


class _Row(_Piece):
    def __init__(self, pieces: list[_Piece]) -> None:
        self.pieces = pieces
        self.longest = sum(piece.longest for piece in pieces)
        self.takes = sum(piece.takes for piece in pieces)
        self.regex = "".join(piece.regex for piece in pieces)
        self.characters = frozenset().union(*(piece.characters for piece in pieces))

    def write(self, out: list[str], following: _Next) -> None:
        for piece in self.pieces:
            piece.write(out, following)


class _Either(_Piece):
    def __init__(self, options: list[_Piece]) -> None:
        self.options, self.size = options, len(options)
        self.longest = max(option.longest for option in options)
        self.takes = 1 + max(option.takes for option in options)
        self.regex = "(?:" + "|".join(option.regex for option in options) + ")"
        self.characters = frozenset().union(*(option.characters for option in options))

    def write(self, out: list[str], following: _Next) -> None:
        self.options[int(following() * self.size)].write(out, following)


class _Repeat(_Piece):
    def __init__(self, piece: _Piece, least: int, most: int) -> None:
        self.piece, self.least, self.span = piece, least, most - least + 1
        self.longest = most * piece.longest
        self.takes = most * piece.takes + (self.span > 1)
        self.regex = f"(?:{piece.regex}){{{least},{most}}}"
        self.characters = piece.characters if most else frozenset()

    def write(self, out: list[str], following: _Next) -> None:
        count = self.least + int(following() * self.span) if self.span > 1 else self.least
        piece = self.piece
        if isinstance(piece, _Class):
            alphabet, size = piece.alphabet, piece.size
            out.append("".join([alphabet[int(following() * size)] for _ in range(count)]))
        else:
            for _ in range(count):
                piece.write(out, following)


class _Parser:
    """Recursive descent; positions in messages count code points from 1."""

    def __init__(self, pattern: str, digits: str) -> None:
        self.pattern, self.digits, self.at, self.depth = pattern, digits, 0, 0

    def fail(self, problem: str, at: int) -> NoReturn:
        raise ScriptoriumError(f"template {self.pattern!r}, position {at + 1}: {problem}")

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def parse(self) -> _Piece:
        whole = self.either()
        if self.peek():
            self.fail("')' without '('; write \\) for the sign itself", self.at)
        return whole

    def either(self) -> _Piece:
        options = [self.row()]
        while self.peek() == "|":
            self.at += 1
            options.append(self.row())
        return options[0] if len(options) == 1 else _Either(options)

    def row(self) -> _Piece:
        pieces: list[_Piece] = []
        while self.peek() not in ("", "|", ")"):
            start = self.at
            piece = self.repeats(self.atom())
            if piece.longest > MAX_LENGTH:
                self.fail(f"stands for up to {piece.longest} characters, more than {MAX_LENGTH}; repeat less", start)
            if pieces and isinstance(piece, _Text) and isinstance(before := pieces[-1], _Text):
                pieces[-1] = _Text(before.text + piece.text)
            else:
                pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else _Row(pieces)

    def atom(self) -> _Piece:
        start, sign = self.at, self.peek()
        self.at += 1
        if sign == "(":
            if self.peek() == "?":
                self.fail("groups are plain: ( and alternatives", self.at)
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail(f"more than {MAX_DEPTH} groups inside each other", start)
            inner = self.either()
            self.depth -= 1
            if self.peek() != ")":
                self.fail("'(' is never closed; write \\( for the sign itself", start)
            self.at += 1
            return inner
        if sign == "[":
            return self.alphabet(start)
        if sign == "\\":
            character = self.escaped(start)
            return _Class(self.digits) if character is None else _Text(character)
        if sign in "{?":
            self.fail(f"{sign!r} has nothing before it to repeat; write \\{sign} for the sign itself", start)
        if sign in "*+":
            self.fail(f"{sign!r} has no upper bound; use {{m,n}}, or \\{sign} for the sign itself", start)
        if sign in _SIGNS:
            self.fail(f"{sign!r} has no meaning here; write \\{sign} for the sign itself", start)
        return _Text(self.drawable(sign, start))

    def repeats(self, piece: _Piece) -> _Piece:
        start, sign = self.at, self.peek()
        if sign == "?":
            self.at += 1
            piece = _Repeat(piece, 0, 1)
        elif sign == "{":
            given = re.compile(r"\{([0-9]{1,9})(,?)([0-9]{0,9})\}").match(self.pattern, self.at)
            if not given:
                self.fail("a repeat is {n} or {m,n}; write \\{ for the sign itself", start)
            if given[2] and not given[3]:
                self.fail(f"{given[0]} has no upper bound; use {{m,n}}", start)
            least = int(given[1])
            most = int(given[3]) if given[2] else least
            if least > most:
                self.fail(f"{given[0]} goes from high to low", start)
            self.at = given.end()
            piece = _Repeat(piece, least, most)
        else:
            return piece
        if self.peek() in ("?", "{"):
            self.fail("a repeat of a repeat; put the first one into ( )", self.at)
        return piece

    def escaped(self, start: int) -> str | None:
        """The character after a backslash; None for a digit."""
        character = self.peek()
        if not character:
            self.fail("ends with a backslash; write \\\\ for the sign itself", start)
        self.at += 1
        if character == "d":
            return None
        if character.isascii() and character.isalnum():
            self.fail(f"\\{character} is not known; of letters and digits only \\d is", start)
        return self.drawable(character, start)

    def alphabet(self, start: int) -> _Piece:
        """A class, after its opening bracket."""
        if self.peek() == "^":
            self.fail("[^…] is not known; name the characters that are meant, or write \\^", self.at)
        found: dict[str, None] = {}  # in order, each once
        while self.peek() != "]":
            at = self.at
            first = self.member(start)
            if first is None:
                found.update(dict.fromkeys(self.digits))
            elif self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("", "]"):
                self.at += 1
                last = self.member(start)
                if last is None or last < first:
                    self.fail(f"the range {self.pattern[at : self.at]} goes nowhere", at)
                for code in range(ord(first), ord(last) + 1):
                    found[self.drawable(chr(code), at)] = None
            else:
                found[first] = None
        self.at += 1
        if not found:
            self.fail("an empty class", start)
        return _Class("".join(found))

    def member(self, start: int) -> str | None:
        at, sign = self.at, self.peek()
        if not sign:
            self.fail("'[' is never closed; write \\[ for the sign itself", start)
        self.at += 1
        return self.escaped(at) if sign == "\\" else self.drawable(sign, at)

    def drawable(self, character: str, at: int) -> str:
        if reason := undrawable(character):
            self.fail(f"U+{ord(character):04X} is a {reason}, which cannot be drawn", at)
        return character


class Template:
    r"""A pattern to draw texts from.

    >>> Template(r"\d{2}[.:]\d{2}").draw(np.random.default_rng(1))
    '59.93'

    Args:
        pattern: see the module.
        digits: what `\d` stands for, ten different characters, such as `٠١٢٣٤٥٦٧٨٩`.

    Raises:
        ScriptoriumError: the pattern is malformed, holds a character that cannot be drawn, or may give more than
            `MAX_LENGTH` characters; `digits` are not ten. Names the position.
    """

    def __init__(self, pattern: str, digits: str = "0123456789") -> None:
        if len(digits) != 10 or len(set(digits)) != 10 or any(map(undrawable, digits)):
            raise ScriptoriumError(f"digits {digits!r}: must be ten different characters, from zero to nine")
        self.pattern = pattern
        self._root = _Parser(pattern, digits).parse()
        if not self._root.longest:
            raise ScriptoriumError(f"template {pattern!r}: stands for the empty text only; write what is to be drawn")
        if self._root.longest > MAX_LENGTH:
            raise ScriptoriumError(
                f"template {pattern!r}: stands for up to {self._root.longest} characters, more than {MAX_LENGTH}"
            )
        self._takes = self._root.takes

    def draw(self, rng: np.random.Generator) -> str:
        """A text; takes the same quantity of numbers from `rng` every time."""
        out: list[str] = []
        self._root.write(out, iter(rng.random(self._takes).tolist()).__next__)
        return "".join(out)

    @cached_property
    def matches(self) -> re.Pattern[str]:
        """The same pattern for `re`: it matches in full what can be drawn, and nothing else."""
        return re.compile(self._root.regex)

    def characters(self) -> set[str]:
        """All characters that can be drawn."""
        return set(self._root.characters)
