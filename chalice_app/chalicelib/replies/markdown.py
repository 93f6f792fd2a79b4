"""The blocks of a Markdown text, line by line, from Markdown to WhatsApp: lists, quotes, code, tables, headings.

A chat's text is lines, and stays lines: each block is found by how its lines begin, and a line after a list or a quote
is a line of its own. (CommonMark would take it into the last item.) Blank lines stay where the writer set them.
Nothing calls itself, so that no text is nested too deep.
"""

import re
from dataclasses import dataclass
from typing import Final

from chalicelib.replies import tex
from chalicelib.replies.inline import format_inline, writes_whatsapp_style

#: Code in WhatsApp begins and ends with this.
FENCE: Final = "```"
RULE: Final = "———"
#: One level of a nested list.
_INDENT: Final = "  "
_QUOTE: Final = re.compile(r" {0,3}(?P<marks>(?:> ?)+)(?P<rest>.*)")
#: What follows the mark of a quote without a space; `>5 people`, `>_<` and `>:(` are no quotes.
_QUOTED: Final = re.compile(r"(?:\*\*|__|[*_\[\"'“„«‘¿¡(]?)[^\W\d_]")
_FENCE: Final = re.compile(r"(?P<indent> *)(?P<fence>`{3,}(?=[^`]*$)|~{3,})")
_HEADING: Final = re.compile(r" {0,3}#{1,6}(?:[ ]+(?P<title>.*))?$")
_RULE: Final = re.compile(r" {0,3}(?:(?:-[ ]*){3,}|(?:\*[ ]*){3,}|(?:_[ ]*){3,})$")
_UNDERLINE: Final = re.compile(r" {0,3}={3,}[ ]*$")
#: A number of more than three digits at the start of a line is a year or a price.
_ITEM: Final = re.compile(r"(?P<indent> *)(?P<mark>[-*+•]|(?P<number>\d{1,3})(?P<sign>[.)]))(?:[ ]+(?P<body>.*)|$)")
_BORDER: Final = re.compile(r"[ ]*:?-+:?[ ]*")
_FORMULA_ENDS: Final = {"\\[": "\\]", "$$": "$$"}
#: A formula of more lines than this was not closed.
_FORMULA_LINES: Final = 30
_SIGNS: Final = re.compile(r"[*_~`#>|\[\]\\<&$^]|^[ ]*(?:[-+]|\d{1,3}[.)])(?:[ ]|$)|^[ ]*(?:-[ ]*){3}|^[ ]*={3}", re.M)


def format_blocks(text: str) -> str:
    """Returns the text in WhatsApp's format, with the signs of `chalicelib.replies.spans` around what may not be cut.

    A text without a sign of Markdown is kept as it is, but for spaces that nobody sees.
    """
    if not _SIGNS.search(text):
        return "\n".join(line.rstrip(" ") for line in text.split("\n"))
    return "\n".join(_Blocks(text.split("\n"), star="*" if writes_whatsapp_style(text) else "_").read())


@dataclass(slots=True)
class _Level:
    """One level of a list: how far its marks are indented, and its last mark."""

    indent: int
    kind: str
    written: int = 0
    shown: int = 0


class _Blocks:
    """Reads blocks from lines. Those of a quote are read by a second one, which takes no quotes itself."""

    def __init__(self, lines: list[str], *, star: str, quoted: bool = False) -> None:
        self.lines = lines
        self.star = star
        self.quoted = quoted
        self.position = 0
        self.written: list[str] = []
        #: True after a blank line, which is written before the next block.
        self.gap = False
        self.levels: list[_Level] = []

    def read(self) -> list[str]:
        """Returns the lines of all blocks."""
        while self.position < len(self.lines):
            line = self.lines[self.position]
            if not line.strip():
                self.gap = True
                self.position += 1
            elif _is_rule(line) or not self._read_item(line):
                self._leave_list(line)
                self._read_block(line)
        return "\n".join(self.written).split("\n") if self.written else []

    def _read_block(self, line: str) -> None:
        if (depth := self._quote_depth(line)) > 0:
            self._read_quote(depth)
        elif fence := _FENCE.match(line):
            self._read_code(fence)
        elif heading := _HEADING.match(line):
            self._write(self._bold(_without_closing_signs(heading["title"] or "")))
            self.position += 1
        elif _is_rule(line):
            self._write([RULE])
            self.position += 1
        elif not self._read_formula() and not self._read_table():
            self._read_paragraph()

    def _write(self, lines: list[str]) -> None:
        if lines:
            if self.gap and self.written:
                self.written.append("")
            self.written += lines
            self.gap = False

    def _starts_block(self, position: int) -> bool:
        """Returns True if the line is no further line of a paragraph."""
        line = self.lines[position]
        return (
            not line.strip()
            or any(pattern.match(line) for pattern in (_ITEM, _FENCE, _HEADING, _RULE))
            or self._quote_depth(line) > 0
            or line.strip() in _FORMULA_ENDS
            or self._columns_of_table(position) > 0
        )

    # -- lists ---------------------------------------------------------------------------------------------------

    def _read_item(self, line: str) -> bool:
        item = _ITEM.match(line)
        if item is None:
            return False
        indent, kind = len(item["indent"]), item["sign"] or item["mark"]
        while len(self.levels) > 1 and indent < self.levels[-1].indent:
            self.levels.pop()
        goes_on = bool(self.levels) and (indent >= self.levels[-1].indent + 2 or kind == self.levels[-1].kind)
        if not self.levels or indent >= self.levels[-1].indent + 2:
            self.levels.append(_Level(indent, kind))
        elif kind != self.levels[-1].kind:
            self.levels[-1] = _Level(self.levels[-1].indent, kind)
        self.gap = self.gap and not goes_on
        mark = self._mark(item)
        body = item["body"] or ""
        if _FENCE.match(body):
            self.lines[self.position] = " " * (indent + 1) + body
            self._write([_INDENT * (len(self.levels) - 1) + mark])
            return True
        self.position += 1
        if heading := _HEADING.match(body):
            texts = self._bold(_without_closing_signs(heading["title"] or ""))
        else:
            texts = self._inline([body, *self._further_lines(indent)])
        first, *rest = texts or [""]
        margin = _INDENT * (len(self.levels) - 1)
        self._write([f"{margin}{mark} {first}".rstrip(), *(f"{margin}{_INDENT}{text}".rstrip() for text in rest)])
        return True

    def _mark(self, item: re.Match[str]) -> str:
        """Returns the mark as it is shown: numbers as they are written, but 1. 2. 3. for Markdown's idiom 1. 1. 1."""
        level = self.levels[-1]
        if item["number"] is None:
            return "-" if item["mark"] == "*" else str(item["mark"])
        number = int(item["number"])
        repeated = level.shown > 0 and number == level.written == 1
        level.written, level.shown = number, level.shown + 1 if repeated else number
        return f"{level.shown}{item['sign']}" if repeated else str(item["mark"])

    def _further_lines(self, indent: int) -> list[str]:
        """Takes the lines of an item after its first: those that are indented more than its mark."""
        taken = []
        while self.position < len(self.lines) and not self._starts_block(self.position):
            line = self.lines[self.position]
            if len(line) - len(line.lstrip(" ")) <= indent:
                break
            taken.append(line)
            self.position += 1
        return taken

    def _leave_list(self, line: str) -> None:
        """Ends the levels of lists to which a line that is no item does not belong."""
        indent = len(line) - len(line.lstrip(" "))
        while self.levels and indent <= self.levels[-1].indent:
            self.levels.pop()
        self.gap = self.gap and not self.levels

    # -- other blocks --------------------------------------------------------------------------------------------

    def _quote_depth(self, line: str) -> int:
        found = None if self.quoted else _QUOTE.match(line)
        if found is None:
            return 0
        depth, marks, rest = found["marks"].count(">"), found["marks"], found["rest"]
        return depth if marks.endswith(" ") or not rest or _QUOTED.match(rest) else depth - 1

    def _read_quote(self, depth: int) -> None:
        inner = []
        while self.position < len(self.lines) and self._quote_depth(self.lines[self.position]) == depth:
            line = self.lines[self.position]
            for _ in range(depth):
                line = line[line.index(">") + 1 :].removeprefix(" ")
            inner.append(line)
            self.position += 1
        read = _Blocks(inner, star=self.star, quoted=True).read()
        self._write([("> " * depth + line).rstrip() for line in read])

    def _read_code(self, fence: re.Match[str]) -> None:
        """Takes code up to the closing fence, or to the end of the text."""
        indent, mark = len(fence["indent"]), fence["fence"]
        self.position += 1
        code = []
        while self.position < len(self.lines):
            line = self.lines[self.position]
            self.position += 1
            if line.strip().startswith(mark) and not line.strip().strip(mark[0]):
                break
            code.append(line[min(indent, len(line) - len(line.lstrip(" "))) :])
        content = "\n".join(code).rstrip()
        self._write([FENCE, content, FENCE] if content.strip() else [])

    def _read_formula(self) -> bool:
        """Takes a formula that has lines of its own: they may begin like the items of a list."""
        opening = self.lines[self.position].strip()[:2]
        closing = _FORMULA_ENDS.get(opening)
        if closing is None:
            return False
        text = "\n".join(self.lines[self.position : self.position + _FORMULA_LINES]).lstrip()[2:]
        end = text.find(closing)
        if end < 0 or text[end + 2 :].partition("\n")[0].strip() or not tex.is_formula(text[:end], opening):
            return False
        self._write(tex.plain(text[:end]).split("\n"))
        self.position += text[:end].count("\n") + 1
        return True

    def _columns_of_table(self, position: int) -> int:
        """Returns how many columns the table has whose header this line is, or 0."""
        if position + 1 >= len(self.lines) or "|" not in self.lines[position]:
            return 0
        if "-" not in self.lines[position + 1] or "|" not in self.lines[position + 1]:
            return 0
        borders = _cells(self.lines[position + 1])
        columns = len(_cells(self.lines[position]))
        return columns if len(borders) == columns and all(map(_BORDER.fullmatch, borders)) else 0

    def _read_table(self) -> bool:
        columns = self._columns_of_table(self.position)
        if not columns:
            return False
        end = self.position + 2
        while end < len(self.lines) and "|" in self.lines[end] and not self._quote_depth(self.lines[end]):
            end += 1
        header, *rows = [_cells(line) for line in (self.lines[self.position], *self.lines[self.position + 2 : end])]
        if any(len(row) > columns for row in rows):
            # Cells beyond the header's: no table, and no border to hide.
            self._write([line for each in self.lines[self.position : end] for line in self._inline([each])])
        else:
            titles = [self._bold(cell) for cell in header]
            shown = [titles, *([self._inline([cell]) for cell in row] for row in rows)]
            self._write([row for cells in shown if (row := " | ".join("\n".join(cell) for cell in cells if cell))])
        self.position = end
        return True

    def _read_paragraph(self) -> None:
        first = self.position
        self.position += 1
        while self.position < len(self.lines) and not self._starts_block(self.position):
            if _UNDERLINE.match(self.lines[self.position]):
                self._write(self._inline(self.lines[first : self.position - 1]))
                self._write(self._bold(self.lines[self.position - 1]))
                self.position += 1
                return
            self.position += 1
        margin = _INDENT * len(self.levels)
        self._write([margin + line if line else "" for line in self._inline(self.lines[first : self.position])])

    # -- text ----------------------------------------------------------------------------------------------------

    def _inline(self, lines: list[str], inside: str = "") -> list[str]:
        text = "\n".join(line.strip() for line in lines)
        formatted = [line.strip() for line in format_inline(text, star=self.star, inside=inside).strip().split("\n")]
        return [line for number, line in enumerate(formatted) if line or (number and formatted[number - 1])]

    def _bold(self, line: str) -> list[str]:
        """Returns the line in bold, unless it has a star of its own, which would end that."""
        formatted = self._inline([line], inside="*")
        return [text if "*" in text or not text else f"*{text}*" for text in formatted if text]


def _is_rule(line: str) -> bool:
    return _RULE.match(line) is not None


def _without_closing_signs(title: str) -> str:
    title = title.rstrip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare.endswith(" ") else title


def _cells(line: str) -> list[str]:
    """Returns the cells of one row; a bar in code or after a backslash is text."""
    line = line.strip().removeprefix("|")
    cells, cell, in_code = [], "", False
    position = 0
    while position < len(line):
        letter = line[position]
        if line.startswith("\\|", position):
            cell, position = cell + "|", position + 1
        elif letter == "|" and not in_code:
            cells.append(cell)
            cell = ""
        else:
            if letter == "`":
                in_code = not in_code and line.find("`", position + 1) > 0
            cell += letter
        position += 1
    return [*cells, cell] if cell.strip() or not cells else cells
