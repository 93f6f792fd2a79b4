"""The calls of AWS that each function of `app.py` may make, read from the source: its role has to allow exactly these.

It follows every mention of a function or method, called or handed on, through the types that annotations and
constructors state. Where a receiver's type is not stated, a call of any method of that name counts.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TABLE = "chalicelib.store.table"
#: Whoever names one of these hands it to the table, alone or in a transaction, which needs the same permission.
_WRITES = {"Put": "put_item", "Update": "update_item", "Check": "condition_check_item"}
#: Names that lists, mappings and texts have as well: a receiver of unknown type says nothing.
_EVERYBODYS = {name for kind in (dict, list, str, set, tuple, bytes) for name in dir(kind)}


@dataclass
class Function:
    """A function or method; nested ones belong to it."""

    module: str
    owner: str
    node: ast.FunctionDef


@dataclass
class Kind:
    """A class: its methods, and the types of its attributes."""

    module: str
    name: str
    methods: dict[str, Function] = field(default_factory=dict)
    #: attribute → name of a class
    attributes: dict[str, str] = field(default_factory=dict)
    #: attribute → constructor's parameter it is made of
    from_parameter: dict[str, str] = field(default_factory=dict)
    #: attribute → a method that was handed in: (class, method)
    handed_in: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: the boto3 client it wraps
    service: str = ""
    #: the names of the classes that it extends
    bases: tuple[str, ...] = ()


class Code:
    """The parsed source of `chalice_app`."""

    def __init__(self, application: Path) -> None:
        self.kinds: dict[str, Kind] = {}
        self.functions: dict[tuple[str, str], Function] = {}
        #: module → local name → (module, name); a module itself has the name ""
        self.imports: dict[str, dict[str, tuple[str, str]]] = {}
        trees = {}
        for path in [application / "app.py", *sorted((application / "chalicelib").rglob("*.py"))]:
            parts = path.relative_to(application).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            trees[module] = ast.parse(path.read_text())
        for module, tree in trees.items():
            self._declare(module, tree)
        for module, tree in trees.items():
            self.imports[module] = dict(_imports(tree, set(trees)))
        for kind in list(self.kinds.values()):
            self._attributes(kind)
        for kind in list(self.kinds.values()):
            self._inherit(kind)
        self._wiring(self.kinds["Services"])

    def calls(self, *entries: tuple[str, str]) -> set[tuple[str, str]]:
        """(service, operation) of all that is reachable from these functions, each (module, name)."""
        found: set[tuple[str, str]] = set()
        seen: set[tuple[str, str, str]] = set()
        waiting = [self.functions[entry] for entry in entries]
        while waiting:
            function = waiting.pop()
            key = (function.module, function.owner, function.node.name)
            if key in seen:
                continue
            seen.add(key)
            owner = self.kinds.get(function.owner)
            if owner is not None and owner.service:
                found |= {(owner.service, operation) for operation in _operations(function.node)}
            if function.module != _TABLE:
                found |= {("dynamodb", _WRITES[name]) for name in _names(function.node) if name in _WRITES}
            waiting += self._mentioned(function)
        return found

    def all_calls(self) -> set[tuple[str, str]]:
        """Every call that any adapter could make."""
        return {
            (kind.service, operation)
            for kind in self.kinds.values()
            if kind.service
            for method in kind.methods.values()
            for operation in _operations(method.node)
        }

    # -- what is declared --------------------------------------------------------------------------------------

    def _declare(self, module: str, tree: ast.Module) -> None:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[module, node.name] = Function(module, "", node)
            elif isinstance(node, ast.ClassDef):
                kind = self.kinds.setdefault(node.name, Kind(module, node.name))
                kind.bases = tuple(ast.unparse(base) for base in node.bases)
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef):
                        kind.methods[inner.name] = Function(module, node.name, inner)
                    elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                        kind.attributes[inner.target.id] = _named(inner.annotation)

    def _attributes(self, kind: Kind) -> None:
        for name, method in kind.methods.items():
            if any("property" in ast.unparse(each) for each in method.node.decorator_list):
                kind.attributes[name] = _named(method.node.returns)
        constructor = kind.methods.get("__init__")
        if constructor is None:
            return
        known = self._parameters(constructor)
        given = {each.arg for each in _arguments(constructor.node)}
        for node in ast.walk(constructor.node):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                    kind.attributes[target.attr] = self._type(constructor, node.value, known)
                    if isinstance(node.value, ast.Name) and node.value.id in given:
                        kind.from_parameter[target.attr] = node.value.id

    def _inherit(self, kind: Kind) -> None:
        """Adds the methods and attributes of the classes that it extends; ours extend one at most, one deep."""
        for base in (self.kinds[name] for name in kind.bases if name in self.kinds):
            kind.methods = {**base.methods, **kind.methods}
            kind.attributes = {**base.attributes, **kind.attributes}

    def _wiring(self, services: Kind) -> None:
        """Which class wraps which client, and which of its attributes is another one's method."""
        for name, method in services.methods.items():
            for call in (node for node in ast.walk(method.node) if isinstance(node, ast.Call)):
                made = self.kinds.get(services.attributes.get(name, ""))
                if made is None:
                    continue
                if ast.unparse(call.func) == "self._client" and isinstance(call.args[0], ast.Constant):
                    made.service = str(call.args[0].value)
                for keyword in call.keywords:
                    if isinstance(keyword.value, ast.Attribute):
                        whose = self._type(method, keyword.value.value, {"self": "Services"})
                        for attribute, parameter in made.from_parameter.items():
                            if parameter == keyword.arg and whose in self.kinds and whose != "Services":
                                made.handed_in[attribute] = (whose, keyword.value.attr)

    # -- what is mentioned ---------------------------------------------------------------------------------------

    def _mentioned(self, function: Function) -> list[Function]:
        known = self._parameters(function)
        for node in ast.walk(function.node):
            if isinstance(node, ast.FunctionDef) and node is not function.node:
                known |= {each.arg: _named(each.annotation) for each in _arguments(node) if each.annotation}
        for node in ast.walk(function.node):
            pairs = []
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
            for target, value in pairs:
                if isinstance(target, ast.Name) and (stated := self._type(function, value, known)):
                    known[target.id] = stated
        called = {id(node.func) for node in ast.walk(function.node) if isinstance(node, ast.Call)}
        found = []
        for node in ast.walk(function.node):
            if isinstance(node, ast.Name | ast.Attribute):
                found += self._meant(function, node, known, called=id(node) in called)
        return found

    def _meant(
        self, function: Function, node: ast.Name | ast.Attribute, known: Mapping[str, str], *, called: bool
    ) -> list[Function]:
        if isinstance(node, ast.Name):
            module, name = self.imports[function.module].get(node.id, (function.module, node.id))
            return self._named_in(module, name)
        if isinstance(node.value, ast.Name):
            module, name = self.imports[function.module].get(node.value.id, ("", "-"))
            if name == "":
                return self._named_in(module, node.attr)
        whose = self.kinds.get(self._type(function, node.value, known))
        if whose is not None:
            if node.attr in whose.handed_in:
                other, method = whose.handed_in[node.attr]
                return [self.kinds[other].methods[method]]
            # A service is made, not called, when it is only looked up.
            looked_up = whose.name == "Services" and node.attr in whose.attributes
            made = self.kinds.get(whose.attributes.get(node.attr, "")) if looked_up else None
            return [whose.methods[node.attr]] if node.attr in whose.methods and made is None else []
        if not called or node.attr in _EVERYBODYS or self._stated(function, node.value, known):
            return []
        return [kind.methods[node.attr] for kind in self.kinds.values() if node.attr in kind.methods]

    def _named_in(self, module: str, name: str) -> list[Function]:
        if (module, name) in self.functions:
            return [self.functions[module, name]]
        kind = self.kinds.get(name)
        if kind is not None and "__init__" in kind.methods:
            return [kind.methods["__init__"]]
        return []

    # -- types ---------------------------------------------------------------------------------------------------

    def _parameters(self, function: Function) -> dict[str, str]:
        known = {each.arg: _named(each.annotation) for each in _arguments(function.node)}
        if function.module == "app":
            known.setdefault("services", "Services")
        return known | ({"self": function.owner} if function.owner else {})

    def _type(self, function: Function, node: ast.expr, known: Mapping[str, str]) -> str:
        """The name of this expression's class; empty if nothing states it."""
        if isinstance(node, ast.Name):
            return known.get(node.id, "")
        if isinstance(node, ast.Attribute):
            whose = self.kinds.get(self._type(function, node.value, known))
            return whose.attributes.get(node.attr, "") if whose else ""
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                if node.func.id in self.kinds:
                    return node.func.id
                module, name = self.imports.get(function.module, {}).get(node.func.id, (function.module, node.func.id))
                called = self.functions.get((module, name))
                return _named(called.node.returns) if called else ""
            if isinstance(node.func, ast.Attribute):
                whose = self.kinds.get(self._type(function, node.func.value, known))
                method = whose.methods.get(node.func.attr) if whose else None
                return _named(method.node.returns) if method else ""
        return ""

    def _stated(self, function: Function, node: ast.expr, known: Mapping[str, str]) -> bool:
        """Whether something says what this is, even if it is none of our classes; or it is a module or its logger."""
        return bool(self._type(function, node, known)) or (
            isinstance(node, ast.Name) and (node.id == "log" or node.id in self.imports[function.module])
        )


def _names(node: ast.FunctionDef) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _named(annotation: ast.expr | None) -> str:
    """The one class that an annotation names, `None` aside."""
    if annotation is None:
        return ""
    text = ast.unparse(annotation).strip("'\"").removesuffix("| None").strip()
    return text if text.isidentifier() else text.partition("[")[0]


def _imports(tree: ast.Module, modules: set[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole in modules
                yield alias.asname or alias.name, (whole, "") if is_module else (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname or alias.name).partition(".")[0], (alias.name, "")


def _operations(node: ast.FunctionDef) -> Iterator[str]:
    """What it asks its client for, by the client's own names."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and ast.unparse(inner.value) == "self._client":
            if inner.attr not in ("get_paginator", "generate_presigned_url", "exceptions"):
                yield inner.attr
        elif (
            isinstance(inner, ast.Call)
            and ast.unparse(inner.func) in ("self._client.get_paginator", "self._client.generate_presigned_url")
            and isinstance(inner.args[0], ast.Constant)
        ):
            yield str(inner.args[0].value)
