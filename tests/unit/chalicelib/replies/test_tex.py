"""Formulas in plain signs, and what is no formula."""

import pytest

from chalicelib.replies.tex import MAX_CHARACTERS, is_formula, plain


@pytest.mark.parametrize(
    ("formula", "signs"),
    [
        (r"30 \times 24 \times 60 = 43{,}200", "30 × 24 × 60 = 43,200"),
        (r"\frac{54}{12}", "54/12"),
        (r"\frac{1}{\sqrt{2}}", "1/√2"),
        (r"\frac{\frac{1}{2}}{3}", "(1/2)/3"),
        (r"\frac{a+b}{c_{1}}", "(a+b)/c₁"),
        (r"\frac12", "1/2"),
        (r"\sqrt[3]{x+1}", "∛(x+1)"),
        (r"x^2 + y_i^{n+1}", "x² + yᵢⁿ⁺¹"),
        (r"10^{-3}\,\text{m}", "10⁻³ m"),
        (r"x_{max}", "x_max"),
        (r"e^{i\pi}", "e^(iπ)"),
        (r"90^\circ", "90°"),
        (r"\left( \frac{1}{2} \right)", "(1/2)"),
        (r"\alpha \le \beta \ne \Omega", "α ≤ β ≠ Ω"),
        (r"20\% \text{ of } \$5", "20% of $5"),
        (r"\{1, 2\}", "{1, 2}"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a = b\nc = d"),
        (r"\mathrm{H}_2\mathrm{O}", "H₂O"),
        (r"\unknown{x}", "unknown x"),
        (r"\boxed{42}", "42"),
    ],
)
def test_a_formula_becomes_plain_signs(formula: str, signs: str) -> None:
    assert plain(formula) == signs


@pytest.mark.parametrize("hostile", ["{", "}", r"\frac{", r"\sqrt[", "^", "_", "\\", r"\frac{1}", "^{", r"\begin{"])
def test_a_broken_formula_becomes_something(hostile: str) -> None:
    plain(hostile * (MAX_CHARACTERS // len(hostile)))


@pytest.mark.parametrize("formula", [r"x^2", r"\pi", "n", "x = 5", "a_1", r"\frac{1}{2} \text{ of it}"])
def test_these_are_formulas_between_dollars(formula: str) -> None:
    assert is_formula(formula, "$")


@pytest.mark.parametrize(
    "words", ["5 and ", "10 or 20 and more", "7-", "5", "", "AB", "x^2 and more words", "x" * 2_000]
)
def test_these_are_none_between_dollars(words: str) -> None:
    assert not is_formula(words, "$")


def test_brackets_around_words_are_no_formula() -> None:
    assert not is_formula("optional", r"\(")
    assert not is_formula("1", r"\[")
    assert is_formula("30", r"\(")
