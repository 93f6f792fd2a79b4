"""Turns the Markdown a model writes into messages as WhatsApp formats them, each short enough to read."""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

#: One message; WhatsApp itself folds longer ones away behind "read more".
CHARACTERS_PER_PART = 3_500
MAX_PARTS = 5
#: The end of a last part that is not the whole text.
CUT_SHORT = " …"
FENCE = "```"
#: Lists and quotes that are nested deeper are no Markdown on purpose; such a text is sent as it is.
DEEPEST_NESTING = 40
#: A part ends at a paragraph, line or sentence only in its second half, so that parts stay few.
SHORTEST_SHARE = 0.5
SENTENCE_ENDS = frozenset(".!?…。！？؟।")
#: May stand between the end of a sentence and the space after it.
CLOSERS = frozenset("\"'”’»)]*_~")
JOINER = "\u200d"


def for_whatsapp(text: str, *, characters: int = CHARACTERS_PER_PART, parts: int = MAX_PARTS) -> tuple[str, ...]:
    """Returns the messages to send for a model's text, in order; none for a text without words.

    Bold, italics, strikethrough, lists, quotes and code become WhatsApp's own; headings become bold, links
    "title (address)", table rows lines; control characters are removed. A text of more than `parts` messages is cut
    and ends with "…". Emphasis that spans the end of a part is not reopened in the next.

    Args:
        text: Markdown, or plain text, of any length.
        characters: the most Unicode code points of one part; at least 20.
        parts: the most parts; at least 1.

    Raises:
        ValueError: `characters` or `parts` is too small.
    """
    if characters < 20 or parts < 1:
        raise ValueError("a part needs 20 characters, and there must be one part")
    # More than this could not be sent anyway, and Markdown of any length costs time.
    readable = printable(text[: 2 * characters * parts])
    try:
        formatted = _formatted(readable)
    except RecursionError:  # a contact can have the model write emphasis in emphasis, hundreds deep
        formatted = readable
    return _split(formatted.strip(), characters, parts)


def printable(text: str) -> str:
    """Returns `text` without control characters, with newlines as line ends, and with "?" for half surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    kept = (" " if letter == "\t" else letter for letter in text if letter in "\n\t" or _is_printable(letter))
    return "".join(kept).encode("utf-8", "replace").decode("utf-8")


def _is_printable(letter: str) -> bool:
    return unicodedata.category(letter) != "Cc"


# --- Markdown → WhatsApp ------------------------------------------------------------------------------------


@cache
def _parser() -> "MarkdownIt":
    """CommonMark with tables and strikethrough, without the syntax that a chat text means literally or would lose.

    Models write no HTML and no link definitions on purpose, and indented text is not code.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["reference", "code", "html_block", "html_inline"])
    parser.normalizeLink = _as_written  # type: ignore[method-assign]
    return parser


def _as_written(url: str) -> str:
    return url


def _formatted(text: str) -> str:
    from markdown_it.tree import SyntaxTreeNode

    tokens = _parser().parse(text)
    if any(token.level >= DEEPEST_NESTING - 2 for token in tokens):
        return text  # the parser leaves out what is nested deeper
    lines = text.split("\n")
    for token in tokens:
        if token.type == "table_open" and token.map:
            token.meta["source"] = "\n".join(lines[slice(*token.map)])
    return _blocks(SyntaxTreeNode(tokens).children, between="\n\n")


def _blocks(nodes: list["SyntaxTreeNode"], *, between: str) -> str:
    return between.join(text for text in map(_block, nodes) if text)


def _block(node: "SyntaxTreeNode") -> str:
    match node.type:
        case "heading":
            return _emphasised("*", _inline(node.children, inside="*"))
        case "bullet_list" | "ordered_list":
            return "\n".join(text for text in map(_list_item, node.children) if text)
        case "blockquote":
            quoted = _blocks(node.children, between="\n\n")
            return "\n".join(f"> {line}" if line else ">" for line in quoted.split("\n"))
        case "fence" | "code_block":
            return f"{FENCE}\n{node.content.rstrip()}\n{FENCE}" if node.content.strip() else ""
        case "hr":
            return "———"
        case "table":
            return _table(node)
        case _:
            return _inline(node.children)


def _list_item(item: "SyntaxTreeNode") -> str:
    """Formats one item: its mark, then its blocks; the lines after the first are indented."""
    mark = f"{item.info}{item.markup}" if item.info else item.markup.replace("*", "-")
    body = _blocks(item.children, between="\n")
    if not body:
        return mark if item.info else ""
    first, *rest = body.split("\n")
    return "\n".join([f"{mark} {first}", *(f"  {line}" for line in rest)])


def _table(table: "SyntaxTreeNode") -> str:
    rows = [row for section in table.children for row in section.children]
    written = "\n".join(text for text in map(_row, rows) if text)
    source = str(table.meta["source"])
    # Cells beyond the columns of the header are not parsed: then the table is better sent as it is.
    return written if _letters(written) == _letters(source) else source


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _row(row: "SyntaxTreeNode") -> str:
    bold = "*" if row.children and row.children[0].type == "th" else ""
    cells = (_inline(cell.children, inside=bold).strip() for cell in row.children)
    return " | ".join(_emphasised(bold, cell) for cell in cells if cell)


def _inline(nodes: list["SyntaxTreeNode"], *, inside: str = "") -> str:
    """Formats inline nodes; `inside` holds the marks that are open around them."""
    written = ""
    for position, node in enumerate(nodes):
        following = _first_letter(nodes[position + 1 :])
        match node.type:
            case "inline":
                written += _inline(node.children, inside=inside)
            case "softbreak" | "hardbreak":
                written += "\n"
            case "code_inline":
                written += f"{node.markup}{node.content}{node.markup}"
            case "strong" | "em" | "s":
                mark = {"strong": "*", "em": "_", "s": "~"}[node.type]
                before = written[-1:]
                inner = _inline(node.children, inside=inside + mark)
                if before.isalnum() and following.isalnum():
                    # 5*3*2 is arithmetic: WhatsApp shows no emphasis inside a word either.
                    written += f"{node.markup}{inner}{node.markup}"
                else:
                    written += inner if mark in inside else _emphasised(mark, inner)
            case "link":
                written += _link(_inline(node.children, inside=inside), str(node.attrs.get("href", "")))
            case "image":
                written += _link(node.content, str(node.attrs.get("src", "")))
            case _:
                written += node.content
    return written


def _first_letter(nodes: list["SyntaxTreeNode"]) -> str:
    for node in nodes:
        if node.type in ("softbreak", "hardbreak"):
            return "\n"
        letter = node.content[:1] if not node.children else _first_letter(node.children)
        if letter:
            return letter
    return ""


def _emphasised(mark: str, text: str) -> str:
    """Returns `text` between two marks, line by line: WhatsApp's marks do not reach over the end of a line."""
    if not mark:
        return text
    return "\n".join(f"{mark}{line.strip()}{mark}" if line.strip() else "" for line in text.split("\n"))


def _link(title: str, address: str) -> str:
    """Returns `title (address)`, or only one of them if the other adds nothing or works only inside OpenAI."""
    bare = address.removeprefix("mailto:").removeprefix("tel:")
    if not title.strip():
        return bare
    if address.startswith("sandbox:") or title in (address, bare) or not bare:
        return title
    return f"{title} ({bare})"


# --- Splitting ----------------------------------------------------------------------------------------------


def _split(text: str, characters: int, parts: int) -> tuple[str, ...]:
    found: list[str] = []
    reopen = ""
    while text.strip() and len(found) < parts:
        whole = reopen + text
        if len(whole) <= characters:
            return (*found, whole.rstrip())
        last = len(found) == parts - 1
        room = characters - len(reopen) - len(f"\n{FENCE}") - (len(CUT_SHORT) if last else 0)
        end = _end_of_part(text, room)
        piece = reopen + text[:end].rstrip()
        in_code = _inside_fence(piece)
        if in_code and piece.endswith(f"\n{FENCE}"):
            piece, in_code = piece.removesuffix(f"\n{FENCE}").rstrip(), False  # a fence with nothing in it
            end = text.rindex(FENCE, 0, end)
        if in_code:
            piece += f"\n{FENCE}"
        text = text[end:].lstrip("\n") if in_code else text[end:].lstrip()
        reopen = f"{FENCE}\n" if in_code else ""
        found.append(piece + CUT_SHORT if last else piece)
    return tuple(found)


def _end_of_part(text: str, room: int) -> int:
    """Returns the position to cut: after a paragraph, a line, a sentence or a word, else between any two characters."""
    least = max(1, int(room * SHORTEST_SHARE))
    for pause in ("\n\n", "\n"):
        end = text.rfind(pause, least, room + 1)
        if end > 0:
            return end
    for end in range(room, least, -1):
        if text[end].isspace() and _ends_a_sentence(text, end):
            return end
    for end in range(room, 0, -1):
        if text[end].isspace():
            return end
    end = room
    while end > 1 and _belongs_together(text[end - 1], text[end]):
        end -= 1
    return end if end > 1 else room


def _ends_a_sentence(text: str, end: int) -> bool:
    end -= 1
    while end > 0 and text[end] in CLOSERS:
        end -= 1
    return text[end] in SENTENCE_ENDS


def _belongs_together(before: str, after: str) -> bool:
    """Returns True if a cut between these two would break an accent, an emoji or a flag."""
    if before == JOINER or after == JOINER or unicodedata.category(after) in ("Mn", "Me", "Mc"):
        return True
    return 0x1F3FB <= ord(after) <= 0x1F3FF or (_regional(before) and _regional(after))


def _regional(letter: str) -> bool:
    return 0x1F1E6 <= ord(letter) <= 0x1F1FF


def _inside_fence(piece: str) -> bool:
    return sum(line.strip() == FENCE for line in piece.split("\n")) % 2 == 1
