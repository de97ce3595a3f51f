"""Gather source of nasbench into one text: some definitions and all that they use, of whichever module.

`nasbench.model.standalone` writes networks with it. What is gathered is read as text and as a syntax tree; nothing is
executed. A module's code has to be simple for this: definitions, assignments and imports, nothing conditional.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PACKAGE = "nasbench"

Place = tuple[str, str]
"""A module, and the name of something that it defines."""

Import = tuple[str, str, str]
"""A module, what is taken from it, and the name for that; of `import torch` the module is empty."""


@dataclass(frozen=True)
class Gathered:
    """What was gathered.

    `imports` is what `write_imports` writes. `sections` are each a module, the first line of its docstring, and the
    text of what is needed of it, in an order in which a thing is defined before another is made of it. `names` says
    what each place is called, which is another name than its own where two modules have the same one.
    """

    imports: frozenset[Import]
    sections: tuple[tuple[str, str, str], ...]
    names: Mapping[Place, str]


def gather(
    roots: Iterable[Place],
    *,
    taken: Iterable[str] = (),
    builtin: Mapping[str, str] | None = None,
    replaced: Mapping[Place, tuple[str, tuple[Place, ...]]] | None = None,
) -> Gathered:
    """Gather definitions and what they use.

    Args:
        roots: what is wanted.
        taken: names that nothing may have, because other code has them.
        builtin: what takes the place of a name of ours wherever it is used, such as ValueError.
        replaced: text in the place of a definition, and what that text uses.
    """
    builtin, replaced = builtin or {}, replaced or {}
    order: list[Place] = []
    imported: set[Import] = set()

    def visit(place: Place) -> None:
        if place in order or place in seen:
            return
        seen.add(place)
        module = _read_module(place[0])
        if place in replaced:
            uses = set(replaced[place][1])
        else:
            uses = set()
            for name in _used_names(module.definitions[place[1]]):
                if name in builtin:
                    continue
                if name in module.definitions:
                    uses.add((place[0], name))
                elif name in module.imports:
                    source, original = module.imports[name]
                    if source.partition(".")[0] == _PACKAGE:
                        assert name == original, f"{place[0]} imports {original} under another name"
                        uses.add((source, original))
                    else:
                        imported.add((source, original, name))
        for use in sorted(uses):
            visit(use)
        order.append(place)

    seen: set[Place] = set()
    for root in roots:
        visit(root)
    names = _name_apart(order, {*taken, *(name for *_, name in imported)})
    sections = []
    for module_name in _modules_in_order(order):
        module = _read_module(module_name)
        wanted = {name for source, name in order if source == module_name}
        texts = [
            replaced[module_name, name][0]
            if (module_name, name) in replaced
            else module.text_of(name, _renames(module_name, module, names), builtin)
            for name in module.definitions
            if name in wanted
        ]
        sections.append((module_name, module.about, "\n\n\n".join(texts)))
    return Gathered(frozenset(imported), tuple(sections), names)


@dataclass(frozen=True)
class _Module:
    """A module's text, and where in it each of its names comes from; imports are by name: (module, original name)."""

    lines: tuple[bytes, ...]
    about: str
    definitions: Mapping[str, ast.stmt]
    behind: Mapping[str, int]
    imports: Mapping[str, tuple[str, str]]

    def text_of(self, name: str, renames: Mapping[str, str], builtin: Mapping[str, str]) -> str:
        """Give the text of a definition with names changed, without its registration, with the comment above it."""
        node = self.definitions[name]
        first, last = node.lineno, self.behind[name]
        lines = list(self.lines)
        for at, old in sorted(_name_places(node, lines), reverse=True):
            new = renames.get(old) or builtin.get(old)
            if new is not None:
                line = lines[at[0] - 1]
                lines[at[0] - 1] = line[: at[1]] + new.encode() + line[at[1] + len(old.encode()) :]
        kept = lines[first - 1 : last]
        for decorator in reversed(getattr(node, "decorator_list", ())):
            if not _registers(decorator):
                kept = lines[decorator.lineno - 1 : decorator.end_lineno] + kept
                first = decorator.lineno
        while lines[first - 2].startswith(b"#"):
            first -= 1
            kept = [lines[first - 1], *kept]
        text = b"\n".join(kept).decode()
        for old, new in builtin.items():
            text = re.sub(rf"\b{old}\b", new, text)  # in docstrings too
        return re.sub(rf"\b{_PACKAGE}\.(?:\w+\.)*(\w+)", r"\1", text)


@lru_cache(maxsize=256)
def _read_module(name: str) -> _Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, f"{name} has no source"
    text = Path(spec.origin).read_bytes()
    tree = ast.parse(text)
    definitions: dict[str, ast.stmt] = {}
    behind: dict[str, int] = {}
    imports: dict[str, tuple[str, str]] = {}
    last = ""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            source = node.module if isinstance(node, ast.ImportFrom) else None
            for alias in node.names:
                imports[alias.asname or alias.name] = (source or "", alias.name)
            continue
        if isinstance(node, ast.Expr):  # the docstring of what stands above it, or of the module
            if last:
                behind[last] = node.end_lineno or node.lineno
            continue
        last = _defined_name(node)
        definitions[last] = node
        behind[last] = node.end_lineno or node.lineno
    about = (ast.get_docstring(tree) or "").partition("\n")[0]
    return _Module(tuple(text.split(b"\n")), about, definitions, behind, imports)


def _defined_name(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    raise AssertionError(f"line {node.lineno}: code beside definitions cannot be gathered")


def _registers(decorator: ast.expr) -> bool:
    """Say whether a decorator puts a block into the registry."""
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "BLOCKS.register"


def _used_names(node: ast.stmt) -> set[str]:
    """Give every name that a definition mentions, its own locals among them, which no module defines."""
    left_out = {
        id(inner)
        for decorator in getattr(node, "decorator_list", ())
        if _registers(decorator)
        for inner in ast.walk(decorator)
    }
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and id(inner) not in left_out}


def _name_places(node: ast.stmt, lines: list[bytes]) -> Iterable[tuple[tuple[int, int], str]]:
    """Give where a definition has names, as (line, column in bytes), its own included."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield (node.lineno, lines[node.lineno - 1].index(node.name.encode())), node.name
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield (inner.lineno, inner.col_offset), inner.id


def _name_apart(order: Iterable[Place], taken: set[str]) -> dict[Place, str]:
    """Name what was gathered, with the module's name before it where the name alone is taken."""
    names: dict[Place, str] = {}
    for module, name in order:
        chosen = name if name not in taken else _with_module(module.rpartition(".")[2], name)
        assert chosen not in taken, f"two things are named {chosen}"
        taken.add(chosen)
        names[module, name] = chosen
    return names


def _with_module(module: str, name: str) -> str:
    bare = name.lstrip("_")
    private = name[: len(name) - len(bare)]
    if bare.isupper():
        return f"{private}{module.upper()}_{bare}"
    if bare[0].isupper():
        return f"{private}{''.join(word.capitalize() for word in module.split('_'))}{bare}"
    return f"{private}{module}_{bare}"


def _renames(module_name: str, module: _Module, names: Mapping[Place, str]) -> dict[str, str]:
    """Give what a module's own names and those that it imports from us are called in the text."""
    own = {name: names[module_name, name] for name in module.definitions if (module_name, name) in names}
    others = {name: names[place] for name, place in module.imports.items() if place in names}
    return {old: new for old, new in {**own, **others}.items() if old != new}


def _modules_in_order(order: Iterable[Place]) -> list[str]:
    """Put the modules after those that they import from; imports have no cycles."""
    wanted = dict.fromkeys(module for module, _ in order)
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in done:
            return
        for source, _ in _read_module(name).imports.values():
            if source in wanted:
                visit(source)
        done[name] = None

    for name in wanted:
        visit(name)
    return list(done)


def write_imports(imports: Iterable[Import]) -> str:
    """Write imports as isort orders them: the standard library, and then other packages."""
    blocks = []
    for standard in (True, False):
        own = [one for one in imports if ((one[0] or one[1]).partition(".")[0] in sys.stdlib_module_names) is standard]
        lines = sorted(f"import {original}" for source, original, _ in own if not source)
        for source in sorted({source for source, *_ in own if source}):
            taken = sorted(
                (original if original == name else f"{original} as {name}")
                for module, original, name in own
                if module == source
            )
            lines.append(f"from {source} import {', '.join(taken)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(block for block in blocks if block)
