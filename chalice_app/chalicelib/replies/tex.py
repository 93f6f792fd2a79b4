"""Formulas in TeX become plain signs: fractions with a slash, powers and indices as small digits, names as letters."""

import re
from typing import Final

#: A formula of more stays as it is written: no model puts one into a chat.
MAX_CHARACTERS: Final = 1_000
#: How deep groups in braces may be nested; what is deeper loses only its braces.
_DEEPEST: Final = 24

_RELATIONS: Final = {
    **{"times": "×", "cdot": "·", "div": "÷", "pm": "±", "mp": "∓", "ast": "∗", "star": "⋆", "circ": "∘"},
    **{"le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠"},
    **{"approx": "≈", "equiv": "≡", "sim": "∼", "simeq": "≃", "cong": "≅", "propto": "∝", "ll": "≪", "gg": "≫"},
    **{"lt": "<", "gt": ">", "in": "∈", "notin": "∉", "ni": "∋", "subset": "⊂", "subseteq": "⊆", "supset": "⊃"},
    **{"supseteq": "⊇", "cup": "∪", "cap": "∩", "setminus": "∖", "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨"},
    **{"to": "→", "rightarrow": "→", "longrightarrow": "→", "leftarrow": "←", "gets": "←", "leftrightarrow": "↔"},
    **{"Rightarrow": "⇒", "implies": "⇒", "Longrightarrow": "⇒", "Leftarrow": "⇐", "Leftrightarrow": "⇔", "iff": "⇔"},
    **{"mapsto": "↦", "mid": "|", "parallel": "∥", "perp": "⊥", "oplus": "⊕", "otimes": "⊗"},
    **{"therefore": "∴", "because": "∵", "bmod": "mod"},
}
_SIGNS: Final = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ"},
    **{"eta": "η", "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν"},
    **{"xi": "ξ", "omicron": "ο", "pi": "π", "varpi": "ϖ", "rho": "ρ", "varrho": "ϱ", "sigma": "σ", "varsigma": "ς"},
    **{"tau": "τ", "upsilon": "υ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω"},
    **{"Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ"},
    **{"Phi": "Φ", "Psi": "Ψ", "Omega": "Ω"},
    **{"infty": "∞", "partial": "∂", "nabla": "∇", "sum": "∑", "prod": "∏", "int": "∫", "iint": "∬", "oint": "∮"},
    **{"forall": "∀", "exists": "∃", "nexists": "∄", "neg": "¬", "lnot": "¬", "emptyset": "∅", "varnothing": "∅"},
    **{"degree": "°", "deg": "°", "angle": "∠", "triangle": "△", "square": "□", "prime": "′", "ell": "ℓ", "hbar": "ℏ"},
    **{"ldots": "…", "dots": "…", "cdots": "⋯", "vdots": "⋮", "bullet": "•", "checkmark": "✓", "dagger": "†"},
    **{"Re": "ℜ", "Im": "ℑ", "aleph": "ℵ", "uparrow": "↑", "downarrow": "↓", "euro": "€", "pounds": "£", "yen": "¥"},
    **{
        "lfloor": "⌊",
        "rfloor": "⌋",
        "lceil": "⌈",
        "rceil": "⌉",
        "langle": "⟨",
        "rangle": "⟩",
        "vert": "|",
        "Vert": "‖",
    },
    **{"lbrace": "{", "rbrace": "}", "backslash": "\\", "copyright": "©", "P": "¶", "colon": ":"},
    **{"quad": " ", "qquad": " ", "thinspace": " ", "enspace": " ", "space": " ", "newline": "\n"},
    **dict.fromkeys(["left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "middle"], ""),
    **dict.fromkeys(["displaystyle", "textstyle", "limits", "nolimits", "hline", "nonumber", "notag", "centering"], ""),
}
#: Commands whose argument is all that a reader needs.
_WRAPPERS: Final = frozenset(
    {"text", "textbf", "textit", "textrm", "textsf", "texttt", "textnormal", "emph", "underline", "overline", "phantom"}
    | {"mathrm", "mathbf", "mathit", "mathsf", "mathtt", "mathcal", "mathbb", "mathfrak", "operatorname", "boldsymbol"}
    | {"bm", "mbox", "hbox", "fbox", "boxed", "widehat", "hat", "bar", "vec", "tilde", "dot", "ddot", "cancel"}
    | {"underbrace", "overbrace", "color", "tag", "ce", "pu"}
)
_FRACTIONS: Final = frozenset({"frac", "dfrac", "tfrac", "cfrac"})
WITH_ARGUMENTS: Final = _WRAPPERS | _FRACTIONS | {"sqrt"}
_ROOTS: Final = {"": "√", "2": "√", "3": "∛", "4": "∜"}
_SMALL_UP: Final = dict(
    zip("0123456789+-−=()niabcdefghjklmoprstuvwxyz∘°′", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻ°°′", strict=True)
)
_SMALL_DOWN: Final = dict(zip("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))

#: A command that only a formula has: converted where it stands, also without delimiters around the formula.
KNOWN: Final = frozenset(_RELATIONS) | frozenset(_SIGNS) | WITH_ARGUMENTS
_GROUP: Final = re.compile(
    r"(?P<fraction>\\[dtc]?frac\s*\{(?P<over>[^{}]*)\}\s*\{(?P<under>[^{}]*)\})"
    r"|\\sqrt\s*(?:\[(?P<root>[^\[\]{}]{0,9})\]\s*)?\{(?P<radicand>[^{}]*)\}"
    r"|(?P<script>[\^_])\s*\{(?P<small>[^{}]*)\}"
    r"|\\(?P<wrapper>[a-zA-Z]+)\*?\s*\{(?P<wrapped>[^{}]*)\}"
    r"|(?<![}\]])\{(?P<bare>[^{}]*)\}"
)
_COMMAND: Final = re.compile(r"\\([a-zA-Z]+)\*?")
_SHORT_FRACTION: Final = re.compile(r"\\[dtc]?frac\s*(\w)\s*(\w)")
_SPACING: Final = re.compile(r"\\[,;:! >]|~|\\\n|(?<!\\)&")
_EVIDENCE: Final = re.compile(r"\\[a-zA-Z%$#&_{}]|[\^{}]|\w_\w|[=<>≤≥≈×÷·±√]|\d\s*[-+*/]\s*[\d(]")
_STRICT_EVIDENCE: Final = re.compile(r"\\[a-zA-Z]|\^|\w_[\w{]|^[A-Za-z](?:\s?[=<>]\s?[\w.,]+)?$")
_WORDS: Final = re.compile(r"(?:^|\s)[^\W\d_]{2,}(?=[\s,.;]|$)")
#: Braces, a dollar and a backslash that are meant as such; noncharacters, which no text contains here.
_MEANT: Final = {
    "\\{": "\ufdd8",
    "\\}": "\ufdd9",
    "\\\\": "\n",
    "\\$": "$",
    "\\%": "%",
    "\\#": "#",
    "\\_": "\ufdda",
    "\\&": "\ufddb",
}
_MEANT_BACK: Final = str.maketrans({"\ufdd8": "{", "\ufdd9": "}", "\ufdda": "_", "\ufddb": "&", "\ufddc": "^"})
_MEANT_SIGN: Final = re.compile(r"\\[{}\\$%#_&]")


def is_formula(content: str, delimiter: str) -> bool:
    r"""Returns True if what stands between `\(` and `\)`, or between dollars, is a formula and no words or prices.

    Args:
        content: the text between the delimiters.
        delimiter: what opens it. Between single dollars only a command, a power, an index, a single letter or a single
            equation is evidence; a lone number is one only in `\(`, because `\[1\]` is a reference.
    """
    content = content.strip()
    if not content or len(content) > MAX_CHARACTERS:
        return False
    if delimiter == "$":
        if _WORDS.search(re.sub(r"\{[^{}]*\}", "", content)):
            return False
        return _STRICT_EVIDENCE.search(content) is not None
    if delimiter == "\\(" and re.fullmatch(r"[\w.,+-]{1,2}|[\d.,]+%?", content):
        return True
    return _EVIDENCE.search(content) is not None


def plain(formula: str) -> str:
    """Returns the formula in plain signs. Never fails; a command without a sign becomes its name."""
    text = _MEANT_SIGN.sub(lambda found: _MEANT[found[0]], formula)
    text = re.sub(r"\\(?:begin|end)\s*\{[^{}]*\}(?:\{[lcr|]*\})?", "", text)
    text = _SHORT_FRACTION.sub(r"\1/\2", text)
    text = _SPACING.sub(lambda found: "" if found[0] in ("\\!", "&") else " ", text)
    for _ in range(_DEEPEST):
        text, changed = _GROUP.subn(_group, text)
        if not changed:
            break
    text = _COMMAND.sub(_command, text.replace("{", "").replace("}", ""))
    text = re.sub(r"([\^_])[ ]?(['′]+|[-+]?\w|[∘°∞*])", lambda found: _script(found[2], up=found[1] == "^"), text)
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n"))
    text = "\n".join(line for line in lines if line)
    return re.sub(r"(?<=[(\[]) | (?=[)\]]|[,;.°](?:\s|$))", "", text).translate(_MEANT_BACK)


def small_signs(text: str, *, up: bool) -> str:
    """Returns `text` as a power (`up`) or an index in small signs; as it is if a letter has none, or it is a word."""
    small = _SMALL_UP if up else _SMALL_DOWN
    if all(letter in small for letter in text) and sum(map(str.isalpha, text)) < 3:
        return "".join(small[letter] for letter in text)
    return text


def _script(text: str, *, up: bool) -> str:
    text = _COMMAND.sub(_command, text).strip()
    small = small_signs(text, up=up)
    if small != text or not text:
        return small
    mark = "\ufddc" if up else "\ufdda"
    is_one = len(text) == 1 or (text.isalnum() and not up)
    return f"{mark}{text}" if is_one else f"{mark}({text})"


def _group(found: re.Match[str]) -> str:
    if found["fraction"] is not None:
        return f"{_operand(found['over'])}/{_operand(found['under'])}"
    if found["radicand"] is not None:
        root = (found["root"] or "").strip()
        sign = _ROOTS.get(root) or _script(root, up=True) + "√"
        return f"{sign}{_operand(found['radicand'])}"
    if found["script"] is not None:
        return _script(found["small"], up=found["script"] == "^")
    if found["wrapped"] is not None:
        name = found["wrapper"]
        if name in _FRACTIONS:
            return found[0]  # its other argument is not flat yet
        return found["wrapped"] if name in _WRAPPERS else f"\\{name} {found['wrapped']}"
    return str(found["bare"])


def _operand(text: str) -> str:
    text = text.strip()
    return f"({text})" if re.search(r"[-+ =·×/]|\\(?:times|cdot|pm|div)(?![a-zA-Z])", text) else text


def _command(found: re.Match[str]) -> str:
    name = found[1]
    if name in _RELATIONS:
        return f" {_RELATIONS[name]} "
    return _SIGNS.get(name, name if name not in _WRAPPERS else "")
