"""The swap of a module's functions for those of a mutant, in a process that has imported the module already."""

import ast
import gc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType


class NotSwappable(Exception):
    """More than the bodies of functions differs: the mutant must be imported anew."""


def is_swappable(source: str, mutant: str) -> bool:
    """True if the two modules differ in the bodies of functions only."""
    return _skeleton(source) == _skeleton(mutant)


def functions_by_file() -> dict[str, list[FunctionType]]:
    """Returns the functions that this process has, wherever they are referred to, by the files of their modules."""
    found: dict[str, list[FunctionType]] = {}
    for each in gc.get_objects():
        if type(each) is FunctionType:  # isinstance would ask what a weak reference stands for, which may be gone
            found.setdefault(each.__code__.co_filename, []).append(each)
    return found


def swap(path: Path, mutant: str, functions: Sequence[FunctionType]) -> None:
    """Gives the functions of a module the bodies of a mutant. Raises NotSwappable if none would change.

    Args:
        path: the module.
        mutant: its edited source.
        functions: all that this process has of the module.
    """
    codes = _by_name(compile(mutant, str(path), "exec", dont_inherit=True))
    changed = 0
    for function in functions:
        former, new = function.__code__, codes.get(function.__code__.co_qualname)
        if new is None or new.co_freevars != former.co_freevars:
            raise NotSwappable(former.co_qualname)
        if new != former:
            function.__code__ = new
            changed += 1
    if not changed:
        raise NotSwappable(str(path))


def _by_name(module: CodeType) -> Mapping[str, CodeType]:
    """Returns the code of each function by its qualified name; of two with one name neither."""
    found: dict[str, CodeType] = {}
    twice = set()
    for code in _codes(module):
        if code.co_qualname in found:
            twice.add(code.co_qualname)
        found[code.co_qualname] = code
    return {name: code for name, code in found.items() if name not in twice}


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _skeleton(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = []
    return ast.dump(tree)
