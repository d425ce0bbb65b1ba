"""The shape of the package: floors, public names, and what importing it loads."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

import guardrail
from guardrail.errors import MissingExtraError

ROOT = Path(guardrail.__file__).parent

# A module imports only from the floors before its own. A package stands for all it holds, but for
# `classifiers` and `integrations`, whose modules stand on floors of their own.
FLOORS = (
    ("errors",),
    ("types", "settings", "letters", "proxies"),
    ("taxonomy", "workers", "refusals", "window", "masking", "deadline", "drive"),
    ("prompt", "policy"),
    ("audit", "classifiers.base"),
    ("classifiers.windows", "classifiers.tokens"),
    ("classifiers.labelled",),
    ("flow", "growing"),
    ("gate",),
    ("classifiers.embedded", "classifiers.kosafeguard", "classifiers.remote"),
    ("asking",),
    ("classifiers.composed",),
    ("classifiers.cascade", "classifiers.fallback", "classifiers.tempered"),
    ("classifiers",),
    ("intake",),
    ("pump",),
    ("streams",),
    ("protect",),
    ("guard",),
    ("config", "testing"),
    ("demo", "bench", "doctor", "evaluation"),
    ("finetuning", "scan"),
    ("cli",),
    ("integrations", "integrations.escapes"),
    ("integrations.failures",),
    ("integrations.openai_wire", "integrations.records", "integrations.telemetry"),
    ("integrations.openai_http", "integrations.litellm_calls"),
    ("integrations.openai", "integrations.langchain", "integrations.litellm", "integrations.kakao"),
    ("integrations.gateway",),
    ("integrations.ray_serve",),
)
# Imports that go up all the same, and why.
EXCEPTIONS = {
    ("guard", "config"): "Guard.from_config is the door to the file; it is loaded when called",
}
OPTIONAL = (
    *("torch", "transformers", "openai", "fastapi", "langchain", "langchain_core"),
    *("numpy", "typer", "rich"),
)


_SPREAD = ("classifiers", "integrations")


def modules() -> dict[str, ast.Module]:
    """Return the syntax of every module of the package, by its name without `guardrail.`."""
    return {name_of(path): ast.parse(path.read_text("utf-8")) for path in sources()}


def sources() -> list[Path]:
    # The link is not followed from above it; where it is a folder, as in a wheel, it is no link.
    return sorted({*ROOT.rglob("*.py"), *(ROOT / "integrations").rglob("*.py")})


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = modules()


def unit_of(module: str) -> str:
    """Return the entry of FLOORS that a module belongs to: itself, or the package around it."""
    known = {unit for floor in FLOORS for unit in floor}
    parts = module.split(".")
    least = 2 if parts[0] in _SPREAD and len(parts) > 1 else 1
    around = (".".join(parts[:end]) for end in range(len(parts), least - 1, -1))
    return next((unit for unit in around if unit in known), f"{module}: on no floor")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules of ours that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("guardrail"):
            yield str(node.module).removeprefix("guardrail").removeprefix(".")
            yield from (
                f"{node.module}.{alias.name}".removeprefix("guardrail.")
                for alias in node.names
                if f"{node.module}.{alias.name}".removeprefix("guardrail.") in MODULES
            )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "guardrail":
                    yield alias.name.removeprefix("guardrail").removeprefix(".")


def height(unit: str) -> int:
    """Return the place of a unit's floor; one on no floor stands above all."""
    return next((level for level, floor in enumerate(FLOORS) if unit in floor), len(FLOORS))


def bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names a module defines at its top level."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if not any(".command(" in ast.unparse(one) for one in node.decorator_list):
                    yield node.name  # a command is reached through its app, not by its name
            case ast.ClassDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets, value=value) if not is_type_variable(value):
                yield from (one.id for one in targets if isinstance(one, ast.Name))


def is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("TypeVar", "ParamSpec")


def exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


NAMES = [name for name in MODULES if name]
PLAIN = [name_of(path) for path in sources() if path.stem not in ("__init__", "__main__")]


def test_every_module_has_its_floor() -> None:
    """A new one is given a place in the list above."""
    known = {unit for floor in FLOORS for unit in floor}

    assert {unit_of(module) for module in NAMES} - known == set()


@pytest.mark.parametrize("module", NAMES)
def test_a_module_imports_only_from_lower_floors(module: str) -> None:
    """What a module knows lies below it; classifiers never know each other."""
    own = unit_of(module)
    used = {unit_of(name) for name in imports(MODULES[module]) if name} - {own}
    upward = {
        unit
        for unit in used
        if (own, unit) not in EXCEPTIONS and height(unit) >= height(own)
        if not (own == "classifiers" and unit.startswith("classifiers."))  # it lists what it holds
    }

    assert upward == set()


@pytest.mark.parametrize("module", ["errors", "types"])
def test_the_ground_floor_needs_only_python(module: str) -> None:
    """Errors and values can be used where no library is."""
    used = {name.split(".")[0] for name in imported_anywhere(MODULES[module])}

    assert used - {"guardrail"} <= sys.stdlib_module_names


def imported_anywhere(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("module", PLAIN)
def test_public_names_are_exactly_those_listed(module: str) -> None:
    """A name without an underscore is in `__all__`, and nothing else is."""
    names = {name for name in bound(MODULES[module]) if not name.startswith("_")}

    assert set(exported(MODULES[module])) == names


@pytest.mark.parametrize("package", ["guardrail", "guardrail.classifiers"])
def test_listed_names_exist(package: str) -> None:
    """What a package lists can be had from it, also what it loads late."""
    module = import_module(package)

    assert [name for name in module.__all__ if not has(module, name)] == []


def has(module: ModuleType, name: str) -> bool:
    try:
        return hasattr(module, name)
    except MissingExtraError:  # it is there, and says what it needs
        return True


# Of what signatures of public classes name, these are for adapters, which know where they are.
FOR_ADAPTERS = {"Cut", "Shape", "Workers"}


@pytest.mark.parametrize("name", guardrail.__all__)
def test_whatever_a_public_name_takes_or_returns_is_public(name: str) -> None:
    """Nobody has to look for a type that an argument needs."""
    named = set(types_named_by(getattr(guardrail, name)))

    assert {one.__name__ for one in named} - {*guardrail.__all__, *FOR_ADAPTERS} == set()


def types_named_by(public: Any) -> Iterator[type]:
    """Yield the classes of ours in the annotations of a public class."""
    if not inspect.isclass(public) or not public.__module__.startswith("guardrail"):
        return
    members = [one for key, one in vars(public).items() if not key.startswith("_")]
    functions = [getattr(one, "fget", None) or getattr(one, "__func__", one) for one in members]
    made_here = [] if public.__module__ == "guardrail.streams" else [public, public.__init__]
    for place in [*made_here, *filter(inspect.isfunction, functions)]:
        for hint in get_type_hints(place).values():
            yield from (one for one in parts_of(hint) if one.__module__.startswith("guardrail"))


def parts_of(hint: Any) -> Iterator[type]:
    """Yield the classes that an annotation is made of."""
    if inspect.isclass(hint):
        yield hint
    for part in get_args(hint):
        yield from parts_of(part)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import guardrail` costs no more than its core: libraries of the leaves come when needed."""
    code = f"import sys, guardrail; print(sorted(set({OPTIONAL}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
