"""The mutator: removes each condition of a module, one at a time, as an edit of its text.

It removes the operands of ``and``, ``or`` and of conditions of DynamoDB, and the whole of such a condition; decides
each ``if``, and each comparison that is a value, both ways; moves the boundary of each ``<``; ends each ``while`` at
once; keeps everything in a comprehension; takes each argument of ``max`` and ``min`` alone.
"""

import ast
import copy
import re
from dataclasses import dataclass

from tests.mutation.conditions import ALWAYS, BOUNDARIES, Conditions, chain, chained, without
from tests.mutation.mutant import Mutant

#: A comparison with its boundary on the other side.
_BOUNDARIES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_YES, _NO = ast.Constant(True), ast.Constant(False)
_SHOWN_CHARACTERS = 90
_SPACE = re.compile(r"[\s(),]+")


@dataclass(frozen=True, slots=True)
class Edit:
    """The replacement of one expression."""

    before: ast.expr
    after: ast.expr
    #: for people, and a part of the mutant's label
    change: str


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Returns the mutants of a module, each once."""
    tree = ast.parse(source)
    mutator = _Mutator(Conditions(tree))
    mutator.visit(tree)
    found: dict[str, Mutant] = {bare(source): Mutant("", (0, 0), "", "", "")}
    labels: dict[str, int] = {}
    for place, edit in mutator.edits:
        edited = replaced(source, edit)
        if bare(edited) in found:
            continue
        number = labels[f"{place} {edit.change}"] = labels.get(f"{place} {edit.change}", 0) + 1
        change = f"{edit.change} ({number})" if number > 1 else edit.change
        lines = edit.before.lineno, edit.before.end_lineno or edit.before.lineno
        found[bare(edited)] = Mutant(path, lines, place, change, edited)
    return list(found.values())[1:]


def replaced(source: str, edit: Edit) -> str:
    """Returns the source with one expression replaced; the rest stays as it is, line by line."""
    lines = source.encode().splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    begin = offsets[edit.before.lineno - 1] + edit.before.col_offset
    end = offsets[(edit.before.end_lineno or 0) - 1] + (edit.before.end_col_offset or 0)
    text = source.encode()
    # As many lines as before, so that a failing test names the right one.
    lost = b"\n" * text[begin:end].count(b"\n")
    return (text[:begin] + b"(" + ast.unparse(edit.after).encode() + lost + b")" + text[end:]).decode()


def bare(source: str) -> str:
    """Returns a source without what makes no difference between two mutants of one module: space and parentheses."""
    return _SPACE.sub("", source).replace("'", '"')


def _shown(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return (
        text
        if len(text) <= _SHOWN_CHARACTERS
        else f"{text[: _SHOWN_CHARACTERS // 2]}…{text[-_SHOWN_CHARACTERS // 2 :]}"
    )


class _Mutator(ast.NodeVisitor):
    """Collects the edits of a module with the names of the class and function around each."""

    def __init__(self, conditions: Conditions) -> None:
        self.edits: list[tuple[str, Edit]] = []
        self._conditions = conditions
        self._place: list[str] = []
        self._decided: set[int] = set()

    def _edit(self, before: ast.expr, after: ast.expr, change: str = "") -> None:
        change = change or f"{_shown(before)} → {_shown(after)}"
        self.edits.append((".".join(self._place) or "module", Edit(before, after, change)))

    def _drop(self, operand: ast.expr, chain: ast.expr, rest: ast.expr) -> None:
        self._decided.add(id(operand))
        self._edit(chain, rest, f"{_shown(chain)} without {_shown(operand)}")

    # -- what is never mutated: types ------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._conditions.enter(node)
        self._place.append(node.name)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self._place.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._place.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._place.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    # -- tests -----------------------------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self._decide(node.test)
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._decide(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._decided.add(id(node.test))
            self._edit(node.test, _NO)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        if node.guard is not None:
            self._decide(node.guard)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._decided.add(id(test))
            self._edit(test, _YES)
        self.generic_visit(node)

    def _decide(self, test: ast.expr) -> None:
        self._decided.add(id(test))
        self._edit(test, _YES)
        self._edit(test, _NO)

    # -- expressions -----------------------------------------------------------------------------------------

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for operand in node.values:
            rest = [value for value in node.values if value is not operand]
            self._drop(operand, node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            if id(node) not in self._decided:
                self._decide(node)
            self._decided.add(id(node.operand))
        elif self._conditions.holds(node):
            self._remove(node)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if id(node) not in self._decided:
            self._decide(node)
        for place, operator in enumerate(node.ops):
            if type(operator) in _BOUNDARIES:
                moved = copy.copy(node)
                moved.ops = [*node.ops[:place], _BOUNDARIES[type(operator)](), *node.ops[place + 1 :]]
                self._edit(node, moved)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not self._conditions.holds(node):
            self.generic_visit(node)
            return
        self._remove(node)
        operands = chain(node)
        for operand in operands:
            self._drop(operand, node, chained(node.op, [each for each in operands if each is not operand]))
        for operand in operands:
            self.visit(operand)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("max", "min") and len(node.args) > 1:
            for argument in node.args:
                if not isinstance(argument, ast.Starred):
                    self._edit(node, argument)
        if isinstance(function, ast.Name) and function.id == "Put" and not any(k.arg == "when" for k in node.keywords):
            self._edit(node, without("when", node))
        if isinstance(function, ast.Attribute) and function.attr in BOUNDARIES and self._conditions.holds(node):
            moved = copy.deepcopy(node)
            moved.func.attr = BOUNDARIES[function.attr]  # type: ignore[attr-defined]
            self._edit(node, moved)
        if self._conditions.holds(node):
            self._remove(node)
        self.generic_visit(node)

    def _remove(self, condition: ast.expr) -> None:
        """Removes a whole condition, unless it is an operand of a larger one, from which it is removed already."""
        if id(condition) not in self._decided and not self._conditions.is_of_keys(condition):
            self._edit(condition, ALWAYS, f"{_shown(condition)} → no condition")
