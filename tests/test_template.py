from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.errors import ScriptoriumError
from synth.text.template import MAX_LENGTH, Template

literals = st.sampled_from([*"aZ7é漢 -/,:€", r"\.", r"\$", r"\(", r"\\", r"\[", r"\-", r"\d"])
classes = st.sampled_from(
    ["[A-Z]", "[a-c0-9]", r"[\d]", r"[x\]\-\\]", "[-+]", "[+-]", "[ab^]", r"[\^]", "[०-९]", r"[a-c\d&|~]"]
)
repeats = st.sampled_from(["", "", "?", "{0}", "{2}", "{0,2}", "{1,3}"])


def _longer(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.lists(inner, min_size=1, max_size=3).map(lambda options: "(" + "|".join(options) + ")")
    return st.lists(st.tuples(inner | group, repeats).map("".join) | inner, max_size=4).map("".join)


atoms = st.tuples(literals | classes, repeats).map("".join)
# Groups around what is repeated, so that no repeat follows a repeat.
patterns = st.recursive(atoms, lambda inner: _longer(inner.map(lambda text: f"({text})")), max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(pattern=patterns, seed=st.integers(0, 99))
def test_draws_are_what_re_understands(pattern: str, seed: int) -> None:
    try:
        template = Template(pattern)
    except ScriptoriumError as error:
        assert "empty text only" in str(error) or "more than" in str(error)
        return
    rng = np.random.default_rng(seed)
    # The pattern itself is a regular expression, too.
    same = re.compile(pattern, re.ASCII)
    for _ in range(5):
        text = template.draw(rng)
        assert same.fullmatch(text)
        assert template.matches.fullmatch(text)
        assert template.characters().issuperset(text)
        assert len(text) <= MAX_LENGTH


@pytest.mark.parametrize(
    ("pattern", "all_texts"),
    [
        ("a|bc|", {"a", "bc", ""}),
        ("x(a|b)?", {"x", "xa", "xb"}),
        ("[a-c]", {"a", "b", "c"}),
        ("a{2,4}", {"aa", "aaa", "aaaa"}),
        ("[-a]{1}", {"-", "a"}),
        ("(ab){0,2}", {"", "ab", "abab"}),
        ("[aa-b]", {"a", "b"}),
        (r"\d", set("0123456789")),
    ],
)
def test_every_text_equally_often(pattern: str, all_texts: set[str]) -> None:
    template = Template(pattern)
    rng = np.random.default_rng(1)
    counts = Counter(template.draw(rng) for _ in range(4000))
    if pattern == "x(a|b)?":  # half with, half without
        counts["x"] //= 2
    assert set(counts) == all_texts
    assert max(counts.values()) < 1.35 * min(counts.values())
    assert template.characters() == set("".join(all_texts))


def test_other_digits() -> None:
    digits = "٠١٢٣٤٥٦٧٨٩"
    template = Template(r"[\d]\d/1", digits)
    text = template.draw(np.random.default_rng(1))
    assert re.fullmatch("[٠-٩]{2}/1", text)
    assert template.characters() == {*digits, "/", "1"}


def test_draw_depends_on_the_generator_alone() -> None:
    first, second = Template(r"[A-Z]{3}(-\d{2}){0,3}"), Template(r"[A-Z]{3}(-\d{2}){0,3}")
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    assert [first.draw(one) for _ in range(20)] == [second.draw(two) for _ in range(20)]
    assert one.random() == two.random()


@pytest.mark.parametrize(
    ("pattern", "position", "told"),
    [
        ("", None, "empty text"),
        ("a{0}", None, "empty text"),
        ("ab*", 3, "no upper bound"),
        ("ab+", 3, "no upper bound"),
        ("ab{2,}", 3, "no upper bound"),
        ("a{3,2}", 2, "high to low"),
        ("a{,2}", 2, "a repeat is"),
        ("a{b}", 2, "a repeat is"),
        ("a{2", 2, "a repeat is"),
        ("?a", 1, "nothing before"),
        ("(|{2})", 3, "nothing before"),
        ("a?{2}", 3, "repeat of a repeat"),
        ("a??", 3, "repeat of a repeat"),
        ("x(a", 2, "never closed"),
        ("xa)", 3, "without"),
        ("x[a", 2, "never closed"),
        ("x[a-", 2, "never closed"),
        ("x[", 2, "never closed"),
        ("x]", 2, "no meaning"),
        ("x}", 2, "no meaning"),
        ("1.5", 2, "no meaning"),
        ("^a", 1, "no meaning"),
        ("a$", 2, "no meaning"),
        ("x[]", 2, "empty class"),
        ("[^a]", 2, "is not known"),
        ("x[z-a]", 3, "goes nowhere"),
        (r"[a-\d]", 2, "goes nowhere"),
        (r"a\w", 2, "is not known"),
        (r"a\8", 2, "is not known"),
        ("a\\", 2, "ends with a backslash"),
        ("[a\\", 3, "ends with a backslash"),
        ("(?:a)", 2, "groups are plain"),
        ("a\tb", 2, "control character"),
        ("a\u0378", 2, "unassigned"),
        ("[\u0370-\u037a]", 2, "unassigned"),
        ("a[\ud800-\ud801]", 3, "control character"),
        ("a{1001}", 1, "more than 1000"),
        ("((a{100}){100}){100}", 2, "more than 1000"),
        ("a{600}b{600}", None, "more than 1000"),
        ("(" * 60 + "a" + ")" * 60, 51, "inside each other"),
    ],
)
def test_malformed_patterns(pattern: str, position: int | None, told: str) -> None:
    with pytest.raises(ScriptoriumError, match=told) as caught:
        Template(pattern)
    assert "\n" not in str(caught.value)
    if position is not None:
        assert f"position {position}:" in str(caught.value)


@pytest.mark.parametrize("digits", ["", "012345678", "01234567890", "0012345678", "012345678\n"])
def test_digits_are_ten(digits: str) -> None:
    with pytest.raises(ScriptoriumError, match="ten different"):
        Template("a", digits)
