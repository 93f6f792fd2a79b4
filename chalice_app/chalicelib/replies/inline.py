"""The text of one paragraph, from Markdown to WhatsApp: emphasis, links, code, addresses, entities, tags, formulas.

One pass finds the tokens, one pairs the marks, one writes. Nothing is nested or called again for what stands inside:
the time stays bounded (`make bench`), whatever a model writes.
"""

import html
import re
from bisect import bisect_right
from typing import Final

from chalicelib.replies import tex
from chalicelib.replies.addresses import ADDRESS, end_of_address, is_refused, link_suffix
from chalicelib.replies.emphasis import pair_up, read_run
from chalicelib.replies.spans import WHOLE, WHOLE_END, Span, Token, write

#: Names of Python and of files that only look like bold.
_DUNDERS: Final = (
    "init|main|name|file|doc|dict|all|version|class|call|str|repr|new|del|len|iter|next|enter|exit|eq|hash|slots|module"
    "|pycache|path|import|proto|dirname|filename|author|debug"
)
_TOKEN: Final = re.compile(
    rf"""
    (?P<newline>\n)
    | (?P<shrug>¯\\*_\(ツ\)\\*_/¯)
    | (?P<code>`+)
    | (?P<path>(?<![^\s"'(])(?:[A-Za-z]:\\|\\\\[\w.-]+\\)[^\s]*)
    | (?P<formula>\\[(\[]|\$\$?)
    | (?P<command>\\(?P<name>[A-Za-z]+)(?:(?:\[\w{{1,3}}\])?\{{[^{{}}\n]{{0,200}}\}}){{0,2}})
    | (?P<escape>\\[!-/:-@\[-`{{-~]|\\(?=\n))
    | (?P<autolink><(?:[A-Za-z][A-Za-z0-9+.-]{{1,31}}:[^\s<>]*|[^\s<>@]+@[^\s<>@]+)>)
    | (?P<comment><!--)
    | (?P<small><(?P<script>sup|sub)>(?P<tiny>[^<>\n]{{1,40}})</(?P=script)>)
    | (?P<verbatim><(?P<mono>code|kbd|tt|samp)>(?P<typed>[^<>`\n]{{1,400}})</(?P=mono)>)
    | (?P<tag></?(?P<tagname>[A-Za-z][A-Za-z0-9]*)(?P<attributes>(?:\s[^<>\n]*)?)/?>)
    | (?P<entity>&(?:\#[0-9]{{1,7}}|\#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,31}});)
    | (?P<dunder>(?<![^\W_])__(?:{_DUNDERS}|[a-z]{{1,20}}(?:_[a-z]{{1,20}}){{1,4}})__(?!\w)
        | (?<=[\w)]\.)__\w{{1,40}}__(?!\w) | __\w{{1,40}}__(?=\(|\.py))
    | (?P<address>{ADDRESS})
    | (?P<bracket>!?\[)
    | (?P<close>\])
    | (?P<run>\*+|_+|~~+)
    """,
    re.VERBOSE,
)
_DESTINATION: Final = re.compile(
    r"""\(\s*+(?:<(?P<pointed>[^<>\n]*+)>|(?P<plain>(?:[^\s()\\]|\\[^\n]|\((?:[^\s()]|\([^\s()]*+\))*+\))*+))"""
    r"""(?:\s++(?:"[^"]*+"|'[^']*+'|\([^()]*+\)))?\s*+\)"""
)
_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_HREF: Final = re.compile(r"""\bhref\s*=\s*["']?([^\s"'>]+)""", re.IGNORECASE)
_EMPHASIS_TAGS: Final = {
    **{"b": "*", "strong": "*", "i": "_", "em": "_", "cite": "_", "s": "~", "del": "~", "strike": "~"},
    **{f"h{level}": "*" for level in range(1, 7)},
}
#: Tags that begin or end a line, and those that only look different.
_LINE_TAGS: Final = frozenset(
    {"p", "div", "ul", "ol", "dl", "dt", "dd", "tr", "table", "tbody", "thead"}
    | {"section", "article", "header", "footer", "blockquote"}
)
_SILENT_TAGS: Final = frozenset(
    {"span", "u", "font", "small", "big", "mark", "ins", "abbr", "sup", "sub", "center", "code", "kbd", "tt", "samp"}
    | {"pre", "q", "td", "th"}
)
_TAGS: Final = frozenset(_EMPHASIS_TAGS) | _LINE_TAGS | _SILENT_TAGS | {"a", "hr", "li"}
#: A text with these shows somebody a page's source: its tags stay as they are.
_SOURCE: Final = re.compile(r"<(?:script|style|html|head|body|form|input|button|iframe|!doctype)\b", re.IGNORECASE)
#: A title of more tokens than this is never taken for the address itself.
_COMPARED_TOKENS: Final = 100
#: How WhatsApp's own bold is seen: a label before a colon, or a line of its own that is no sentence.
_LABEL: Final = re.compile(
    r"^[^\w\n*]{0,9}\*(?![\s*])[^*\n]*+(?:(?<=[:：])\*(?!\w)|(?<!\s)\*[:：]|(?<![\s.!?。！？…])\*[ ]*$)", re.MULTILINE
)
_DOUBLE: Final = re.compile(r"\*\*|(?<!\w)__(?=\w)")


def writes_whatsapp_style(text: str) -> bool:
    """Returns True for a text whose writer formats for WhatsApp: `*Price:*` is bold there, and italics in Markdown.

    Such a text has no double marks, and at least one lone `*…*` at the start of a line that is a label before a colon,
    or a line of its own that is no sentence. Then all its lone `*…*` are bold.
    """
    return _LABEL.search(text) is not None and _DOUBLE.search(text) is None


def format_inline(text: str, *, star: str = "_", inside: str = "") -> str:
    """Returns the paragraph in WhatsApp's format, with `WHOLE` and `WHOLE_END` around what may not be cut.

    Args:
        text: lines of one paragraph, without marks of lists or quotes.
        star: the mark for a lone `*…*`: "_" in Markdown, "*" for a writer of WhatsApp's style.
        inside: the mark that is put around the whole text.
    """
    tokens = _Reader(text).read()
    pair_up(text, [token.run for token in tokens if token.run])
    spans: dict[int, Span] = {}
    for token in tokens:
        if run := token.run:
            token.text = run.left
            token.closes = [spans[id(pair)] for pair in run.closed]
            for pair in run.opened:
                spans[id(pair)] = Span("~" if pair.mark == "~" else star if pair.mark == "*" else "_")
                if pair.marks == 2 and pair.mark != "~":
                    spans[id(pair)] = Span("*")
            token.opens = [spans[id(pair)] for pair in reversed(run.opened)]
    return write(tokens, inside)


class _Reader:
    """Finds the tokens of a paragraph, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        #: Open brackets: the position of the token, and whether it begins an image.
        self.brackets: list[tuple[int, bool]] = []
        self.tags: dict[str, list[int]] = {}
        self.opened = {"*": 0, "_": 0, "~": 0}
        self.shows_source = _SOURCE.search(text) is not None
        self.ticks: dict[int, list[int]] = {}
        for found in re.finditer("`+", text):
            self.ticks.setdefault(len(found[0]), []).append(found.start())

    def read(self) -> list[Token]:
        """Returns all tokens; together they hold the whole text."""
        position = 0
        while found := _TOKEN.search(self.text, position):
            if found.start() > position:
                self._add(self.text[position : found.start()])
            position = self._read_token(found)
        self._add(self.text[position:])
        return self.tokens

    def _read_token(self, found: re.Match[str]) -> int:
        """Adds what `found` begins, and returns where it ends."""
        written = found[0]
        match found.lastgroup:
            case "code":
                return self._read_code(found)
            case "formula":
                return self._read_formula(found)
            case "command":
                return self._read_command(found)
            case "address":
                end = end_of_address(self.text, found.start(), found.end(), self.opened)
                self._add(self.text[found.start() : end], whole=True)
                return end
            case "run":
                return self._read_run(found)
            case "bracket":
                self.brackets.append((len(self.tokens), written == "!["))
                self._add(written)
            case "close":
                return self._read_link(found)
            case "comment":
                end = self.text.find("-->", found.end())
                self._add("" if end >= 0 else written)
                return end + 3 if end >= 0 else found.end()
            case "tag":
                self._read_tag(found)
            case "shrug":
                self._add("¯\\_(ツ)_/¯", whole=True)
            case "escape":
                self._add(written[1:])
            case "autolink":
                self._add(re.sub(r"^(?:mailto|tel):", "", written[1:-1], flags=re.IGNORECASE), whole=True)
            case "small":
                self._add(tex.small_signs(html.unescape(found["tiny"]), up=found["script"] == "sup"))
            case "verbatim":
                self._add(f"`{html.unescape(found['typed'])}`", whole=True)
            case "entity":
                self._add("".join(letter for letter in html.unescape(written) if letter >= " "))
            case _:
                self._add(written, whole=found.lastgroup in ("path", "dunder"))
        return found.end()

    def _add(self, text: str, *, whole: bool = False) -> None:
        if text:
            self.tokens.append(Token(text, before=WHOLE, after=WHOLE_END) if whole else Token(text))

    def _read_code(self, found: re.Match[str]) -> int:
        """Code reaches to the next run of as many backticks; without one the backticks are text."""
        same = self.ticks.get(len(found[0]), [])
        following = bisect_right(same, found.start())
        if following == len(same):
            self._add(found[0])
            return found.end()
        content = self.text[found.end() : same[following]]
        self._add(f"{found[0]}{content.replace(chr(10), ' ')}{found[0]}", whole=True)
        return same[following] + len(found[0])

    def _read_formula(self, found: re.Match[str]) -> int:
        opening = found[0]
        closing = {"\\(": "\\)", "\\[": "\\]"}.get(opening, opening)
        end = self.text.find(closing, found.end(), found.end() + tex.MAX_CHARACTERS)
        content = self.text[found.end() : end] if end >= 0 else ""
        good = tex.is_formula(content, opening)
        if opening == "$":
            after = self.text[end + 1 : end + 2]
            good = good and content == content.strip() and "\n" not in content and not after.isalnum()
        if good:
            self._add(tex.plain(content), whole=True)
            return end + len(closing)
        self._add(opening.removeprefix("\\"))
        return found.end()

    def _read_command(self, found: re.Match[str]) -> int:
        """A formula's command without delimiters around it; an unknown one is text, as in a path."""
        name = found["name"]
        before = self.text[found.start() - 1 : found.start()]
        if name not in tex.KNOWN or before.isalpha() or (before and before in "\\:/_"):
            self._add(found[0][: 1 + len(name)])
            return found.start() + 1 + len(name)
        end = found.end() if name in tex.WITH_ARGUMENTS else found.start() + 1 + len(name)
        self._add(tex.plain(self.text[found.start() : end]))
        return end

    def _read_run(self, found: re.Match[str]) -> int:
        run = read_run(self.text, found.start(), found.end())
        self.tokens.append(Token(found[0], run=run))
        count = len(found[0])
        if self.opened[run.mark] and (run.closes_double or run.closes_single):
            self.opened[run.mark] = max(0, self.opened[run.mark] - count)
        elif (count > 1 and run.opens_double) or run.opens_single:
            self.opened[run.mark] += count
        return found.end()

    def _read_link(self, found: re.Match[str]) -> int:
        position, is_image = self.brackets.pop() if self.brackets else (-1, False)
        destination = _DESTINATION.match(self.text, found.end()) if position >= 0 else None
        if destination is None:
            self._add("]")
            return found.end()
        address = destination["pointed"] if destination["pointed"] is not None else destination["plain"]
        address = _ESCAPED.sub(r"\1", address).replace("&amp;", "&")
        if is_refused(address):
            self._add(self.text[found.start() : destination.end()], whole=True)
            return destination.end()
        self._link(position, address)
        if not is_image:
            self.brackets.clear()  # a link holds no other link
        return destination.end()

    def _link(self, position: int, address: str) -> None:
        """Makes a link of the tokens after `position`, which is its opening bracket's."""
        inner = self.tokens[position + 1 :][: _COMPARED_TOKENS + 1]
        compared = len(inner) <= _COMPARED_TOKENS
        title = "".join(token.text for token in inner if token.run is None) if compared else "a long title"
        shows_title, suffix = link_suffix(title, address)
        if compared and not shows_title:
            for token in inner:
                token.text, token.run = "", None
                token.before = token.after = ""
        self.tokens[position].text = ""
        self.tokens[position].before = WHOLE
        self.tokens.append(Token(suffix, after=WHOLE_END))

    def _read_tag(self, found: re.Match[str]) -> None:
        name, closing = found["tagname"].lower(), found[0].startswith("</")
        if name == "br":
            self._add("\n")
        elif self.shows_source or name not in _TAGS:
            self._add(found[0])
        elif name == "hr":
            self._add("\n———\n")
        elif name == "li":
            begins_line = not self.tokens or self.tokens[-1].text.endswith("\n")
            self._add("" if closing else "- " if begins_line else "\n- ")
        elif name in _LINE_TAGS:
            self._add("\n")
        elif name in _EMPHASIS_TAGS or name == "a":
            self._read_paired_tag(found, name, closing=closing)

    def _read_paired_tag(self, found: re.Match[str], name: str, *, closing: bool) -> None:
        border = "\n" if name[0] == "h" else ""
        if not closing:
            self.tags.setdefault(name, []).append(len(self.tokens))
            self.tokens.append(Token(border, address=_href(found["attributes"])))
        elif self.tags.get(name):
            position = self.tags[name].pop()
            if name == "a":
                self._link(position, self.tokens[position].address)
                return
            span = Span(_EMPHASIS_TAGS[name])
            self.tokens[position].opens.append(span)
            self.tokens.append(Token(border, closes=[span]))


def _href(attributes: str) -> str:
    found = _HREF.search(attributes)
    return html.unescape(found[1]) if found else ""
