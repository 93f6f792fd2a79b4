"""Conditions of DynamoDB in a module's syntax: which expressions are one, and what they are made of."""

import ast
import copy

#: Holds for every item, and for one that does not exist.
ALWAYS = ast.parse('Attr("pk").exists() | Attr("pk").not_exists()', mode="eval").body
#: The methods of ``Attr`` with their boundary on the other side.
BOUNDARIES = {"lt": "lte", "lte": "lt", "gt": "gte", "gte": "gt"}
_METHODS = {*BOUNDARIES, "eq", "ne", "exists", "not_exists", "begins_with", "between", "is_in", "contains"}
_SOURCES = {"Attr", "Key"}
_TYPE = "ConditionBase"


class Conditions:
    """The conditions of one module.

    Args:
        tree: the module.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == _TYPE
        }
        #: local names of attributes, and of conditions
        self._attributes: set[str] = set()
        self._names: set[str] = set()

    def enter(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Learns the names of a function that is read next."""
        arguments = (*function.args.args, *function.args.kwonlyargs)
        self._names = {each.arg for each in arguments if each.annotation and _TYPE in ast.unparse(each.annotation)}
        self._attributes = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                for target, value in _assigned(node):
                    if _is_attribute(value):
                        self._attributes.add(target)
                    elif self.holds(value):
                        self._names.add(target)

    def holds(self, node: ast.expr) -> bool:
        """True if the expression is a condition."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return name in self._functions
            case ast.Call(func=ast.Attribute(value=receiver, attr=method)):
                known = isinstance(receiver, ast.Name) and receiver.id in self._attributes
                return method in _METHODS and (known or _is_attribute(receiver))
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr(), right=right):
                return self.holds(left) or self.holds(right)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return self.holds(operand)
            case ast.IfExp(body=body, orelse=other):
                return self.holds(body) or self.holds(other)
            case ast.Name(id=name):
                return name in self._names
        return False

    def is_of_keys(self, node: ast.expr) -> bool:
        """True for the condition of a query, which must name its partition."""
        return any(isinstance(each, ast.Name) and each.id == "Key" for each in ast.walk(node))


def chain(node: ast.expr) -> list[ast.expr]:
    """Returns the operands of a chain of one operator, such as the three of ``a & b & c``."""
    if not isinstance(node, ast.BinOp):
        return [node]
    parts: list[ast.expr] = []
    for side in (node.left, node.right):
        same = isinstance(side, ast.BinOp) and type(side.op) is type(node.op)
        parts += chain(side) if same else [side]
    return parts


def chained(operator: ast.operator, operands: list[ast.expr]) -> ast.expr:
    """Returns the operands as one expression."""
    first, *rest = operands
    for each in rest:
        first = ast.BinOp(first, operator, each)
    return first


def without(argument: str, call: ast.Call) -> ast.Call:
    """Returns the call with None for an argument that has a default."""
    changed = copy.copy(call)
    changed.keywords = [*call.keywords, ast.keyword(argument, ast.Constant(None))]
    return changed


def _is_attribute(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SOURCES


def _assigned(node: ast.Assign) -> list[tuple[str, ast.expr]]:
    """Returns the names that an assignment gives a value, each with the expression."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [
            (name.id, each) for name, each in zip(target.elts, value.elts, strict=True) if isinstance(name, ast.Name)
        ]
    return []
