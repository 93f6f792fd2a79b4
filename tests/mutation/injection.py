"""The import of a mutant in place of a module, and of modules that report which statements ran."""

import ast
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

#: The statements that ran, by path and line, in modules that report them.
Reached = set[tuple[str, int]]
_REPORT = "__reached__"


class _Loader(SourceFileLoader):
    """Loads a module from a syntax tree instead of its file."""

    def __init__(self, name: str, path: str, tree: ast.Module, more: Mapping[str, Any]) -> None:
        super().__init__(name, path)
        self._tree = tree
        self._more = more

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(self._more)
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules of these files."""

    def __init__(self, trees: Mapping[Path, ast.Module], more: Mapping[str, Any]) -> None:
        self._trees = trees
        self._more = more

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or Path(spec.origin) not in self._trees:
            return None
        spec.loader = _Loader(fullname, spec.origin, self._trees[Path(spec.origin)], self._more)
        return spec


def inject(root: Path, sources: Mapping[str, str]) -> None:
    """Lets this process import these sources instead of the files, which are named from the root."""
    trees = {root / path: ast.parse(source, str(root / path)) for path, source in sources.items()}
    sys.meta_path.insert(0, _Finder(trees, {}))


def report_statements(root: Path, paths: Sequence[str], reached: Reached) -> None:
    """Lets the modules of these files report each statement that is about to run."""
    trees = {root / path: reporting(path, (root / path).read_text()) for path in paths}
    sys.meta_path.insert(0, _Finder(trees, {_REPORT: reached.add}))


def reporting(path: str, source: str) -> ast.Module:
    """Returns the module with a report before each statement of its functions."""
    tree = ast.parse(source, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _report_bodies(node, path)
    return ast.fix_missing_locations(tree)


def _report_bodies(node: ast.AST, path: str) -> None:
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if not isinstance(body, list) or not body or not isinstance(body[0], ast.stmt):
            continue
        new: list[ast.stmt] = []
        for statement in body:
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Nonlocal | ast.Global):
                report = ast.parse(f"{_REPORT}(({path!r}, {statement.lineno}))").body[0]
                new.append(ast.copy_location(report, statement))
                _report_bodies(statement, path)
            new.append(statement)
        setattr(node, name, new)
    for inner in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        _report_bodies(inner, path)
