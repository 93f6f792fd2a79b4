"""The documents are true: links, anchors, named files, names and `make` targets exist, and pages stay short."""

import re
import subprocess
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from chalicelib.log_events import LogEvent
from chalicelib.model import RunnerState, TurnState
from infrastructure.checkout import REPOSITORY as ROOT
from wire import Phase

_TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
FILES = {name for name in _TRACKED if (ROOT / name).is_file()}
FOLDERS = {parent.as_posix() for name in FILES for parent in Path(name).parents} - {"."}
DOCUMENTS = sorted(name for name in FILES if name.endswith(".md"))

#: Words of a page in all, as `wc -w` counts them …
WORDS_AT_MOST = {"README.md": 1_300, "ARCHITECTURE.md": 1_800}
#: … and of every other page, without its tables and its code.
PROSE_AT_MOST = 1_500
NOUNS_AT_MOST = 40
#: Paths in documents are from the root; in ARCHITECTURE's tables also from here.
LIBRARY = "chalice_app/chalicelib"
#: Code spans with these endings, or below these folders, are paths of the repository.
PATH = re.compile(r"^[\w.-]+(?:/[\w.-]+)*/?$")
ENDINGS = (".py", ".yaml", ".js", ".md", ".html", ".css", ".lock", ".txt", "Dockerfile")
#: What our language avoids: each has a word of the field.
DIALECT = re.compile(
    r"\b(?:mend\w*|troubles?|who(?:m|so)?ever|told|tells?|knock\w*|abreast|bearable|untold)\b", re.IGNORECASE
)


def text_of(document: str) -> str:
    return (ROOT / document).read_text()


def without_code_blocks(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(document: str) -> set[str]:
    """Of headings, as GitHub makes them, and of explicit anchors."""
    text = without_code_blocks(text_of(document))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def links_of(document: str) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code_blocks(text_of(document))):
        if not re.match(r"[a-z]+:", link):
            yield link


def spans_of(document: str) -> Iterator[str]:
    for span in re.findall(r"`([^`]+)`", without_code_blocks(text_of(document))):
        yield " ".join(span.split())


def leads_nowhere(link: str, folder: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve() if path else None
    name = target.relative_to(ROOT.resolve()).as_posix() if target else ""
    if name not in FILES | FOLDERS:
        return True
    return bool(anchor) and anchor not in anchors_of(name)


def found(path: str) -> str | None:
    """The file or folder that a path in a document names."""
    for name in (path.rstrip("/"), f"{LIBRARY}/{path}".rstrip("/")):
        if name in FILES | FOLDERS:
            return name
    return None


def looks_like_a_path(span: str) -> bool:
    first = span.partition("/")[0]
    ours = {folder.partition("/")[0] for folder in FOLDERS}
    return bool(PATH.match(span)) and (span.endswith(ENDINGS) or ("/" in span and first in ours))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file_and_its_anchor(document: str) -> None:
    folder = (ROOT / document).parent
    here = Path(document).name
    links = [here + link if link.startswith("#") else link for link in links_of(document)]
    assert not [link for link in links if leads_nowhere(link, folder)]


def test_every_alarm_leads_to_an_anchor() -> None:
    links = re.findall(r"[\w./-]+\.md#[\w-]+", text_of("infrastructure/cloudformation/watching.yaml"))
    assert links and not [link for link in links if leads_nowhere(link, ROOT)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document: str) -> None:
    spans = [span.partition(": ")[0] for span in spans_of(document)]
    assert not [span for span in spans if looks_like_a_path(span) and found(span) is None]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_is_in_the_file_that_it_is_said_to_be_in(document: str) -> None:
    """`path: Name`."""
    missing = []
    for span in spans_of(document):
        path, _, name = span.partition(": ")
        file = found(path) if name and looks_like_a_path(path) else None
        if file is not None and not re.search(rf"\b{re.escape(name)}\b", text_of(file)):
            missing.append(span)
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_target_of_make_that_is_named_exists(document: str) -> None:
    makefile = text_of("Makefile")
    targets = set(re.findall(r"^([a-z][\w-]*)\b.*?:", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^|&& )make ([a-z][\w-]*)", text_of(document), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", ["docs/operate.md", "docs/runbook.md"])
def test_a_line_of_the_log_that_is_named_is_logged(document: str) -> None:
    named = {span for span in spans_of(document) if re.fullmatch(r"[a-z]+(?:_[a-z]+)+", span)}
    assert named and named <= {event.value for event in LogEvent}


@pytest.mark.parametrize("document", sorted(WORDS_AT_MOST))
def test_the_first_two_documents_are_short(document: str) -> None:
    assert len(text_of(document).split()) <= WORDS_AT_MOST[document]


@pytest.mark.parametrize("document", sorted(set(DOCUMENTS) - set(WORDS_AT_MOST)))
def test_a_page_has_little_prose(document: str) -> None:
    lines = without_code_blocks(text_of(document)).splitlines()
    assert len(" ".join(line for line in lines if not line.startswith("|")).split()) <= PROSE_AT_MOST


def test_the_glossary_has_few_words_each_once() -> None:
    nouns = re.findall(r"^\| \*\*([^*]+)\*\*", text_of("docs/glossary.md"), re.MULTILINE)
    assert len(nouns) == len(set(nouns)) <= NOUNS_AT_MOST


def test_every_folder_of_code_is_in_the_folder_map() -> None:
    folders = text_of("ARCHITECTURE.md").partition("\n## Folders\n")[2].partition("\n## ")[0]
    named = {found(span) for span in re.findall(r"`([^`]+)`", folders)}
    code = {str(Path(name).parent) for name in FILES if name.endswith(".py")}
    deeper = ("tests/unit/", "tests/simulators/", LIBRARY + "/rendering/")
    assert not {folder for folder in code if not folder.startswith(deeper)} - named


@pytest.mark.parametrize(
    ("document", "states"),
    [
        ("docs/design/browser.md", Phase),
        ("docs/design/answering.md", TurnState),
        ("docs/design/placement.md", RunnerState),
    ],
)
def test_a_diagram_shows_every_state(document: str, states: type[StrEnum]) -> None:
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", text_of(document), re.DOTALL)
    drawn = set(re.findall(r"\b[a-z_]+\b", re.sub(r":.*", "", diagram)))
    assert {state.value for state in states if state.name != "UNKNOWN"} <= drawn


def test_the_drawn_table_has_every_kind_of_item() -> None:
    store = ROOT / LIBRARY / "store"
    written = {kind for path in store.rglob("*.py") for kind in re.findall(r'"([A-Z][A-Z_]+)#', path.read_text())}
    drawn = set(re.findall(r"``([A-Z][A-Z_]+)#", (store / "__init__.py").read_text()))
    assert written and written <= drawn


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_speaks_a_dialect(document: str) -> None:
    prose = re.sub(r"`[^`]*`", "", without_code_blocks(text_of(document)))
    assert not DIALECT.findall(prose)
