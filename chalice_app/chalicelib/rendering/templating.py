"""Renders Jinja templates of pages and mails; every value in HTML and SVG is escaped. The only importer of Jinja."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chalicelib.rendering.qr import qr_svg

if TYPE_CHECKING:
    from jinja2 import Environment

PAGES: Final = Path(__file__).parent / "templates"
MAILS: Final = Path(__file__).parent / "mail"


def render_page(template: str, **context: Any) -> str:
    """Renders a template of ``templates/``, which may draw QR codes."""
    return environment(PAGES, qr_svg=qr_svg).get_template(template).render(context)


def render_mail(template: str, **context: Any) -> str:
    """Renders a template of ``mail/``."""
    return environment(MAILS).get_template(template).render(context)


@cache
def environment(folder: Path, **functions: Callable[..., str]) -> "Environment":
    """Returns the templates of a folder, which may call ``functions``; an undefined name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(enabled_extensions=("html", "svg"), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(functions)
    return made
