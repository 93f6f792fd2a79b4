"""Templates: what is escaped, what may be called, and that nothing missing is passed over."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from chalicelib.rendering.templating import environment


@pytest.mark.parametrize(("name", "shown"), [("a.html", "&lt;b&gt;"), ("a.svg", "&lt;b&gt;"), ("a.txt", "<b>")])
def test_values_are_escaped_where_they_are_read_as_markup(tmp_path: Path, name: str, shown: str) -> None:
    (tmp_path / name).write_text("{{ value }}")
    assert environment(tmp_path).get_template(name).render(value="<b>") == shown


def test_a_function_that_was_given_can_be_called_even_in_an_imported_macro(tmp_path: Path) -> None:
    (tmp_path / "macro.html").write_text("{% macro loud(word) %}{{ shout(word) }}{% endmacro %}")
    (tmp_path / "a.html").write_text("{% from 'macro.html' import loud %}{{ loud('hm') }}")
    assert environment(tmp_path, shout=str.upper).get_template("a.html").render() == "HM"


def test_an_undefined_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("{{ nobody }}")
    with pytest.raises(UndefinedError):
        environment(tmp_path).get_template("a.html").render()
