"""Private names of foreign packages are in the modules that list them, and nowhere else."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import compose_run_launcher
import pytest
from compose_run_launcher import internals as launcher_internals

import control_plane
from control_plane.internals import daemon as daemon_internals

ROOT = Path(__file__).resolve().parents[3]
# Packages, and in each the files or folders that may name what is private.
PACKAGES = {
    "deploy/control_plane/src/control_plane": ("internals",),
    "deploy/embedded/src/embedded": (),
    "deploy/stackctl/src/stackctl": (),
    "packages/compose_run_launcher/src/compose_run_launcher": ("internals.py", "worker.py"),
    "packages/location_kit/src/location_kit": (),
    "packages/paged_api/src/paged_api": (),
    "packages/postgres_loader/src/postgres_loader": ("dagster_internals.py",),
    "code_locations/elt/src/elt": (),
    "code_locations/analytics/src/analytics": (),
}
# Public in spite of the underscore: of named tuples, and of the process.
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "os._exit"}


def found(text: str) -> list[str]:
    """Private modules, imported names and attributes of foreign objects in a module's text."""
    tree = ast.parse(text)
    own = _own(tree)
    return [name for node in ast.walk(tree) for name in _private(node, own)]


def _own(tree: ast.AST) -> set[str]:
    """Names with an underscore that the module itself defines."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store):
            of_self = isinstance(node, ast.Attribute) and _is_self(node.value)
            if isinstance(node, ast.Name) or of_self:
                names.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return names


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def _private(node: ast.AST, own: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names if _is_private(each.name))
    elif isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
        whole = (f"{node.module}.{each.name}" for each in node.names)
        yield from (name for name in whole if _is_private(name))
    elif isinstance(node, ast.Attribute) and _is_private(node.attr):
        # An attribute of self is ours, or one that a foreign base class gave us.
        if not (node.attr in own or node.attr in PUBLIC or ast.unparse(node) in PUBLIC):
            yield ast.unparse(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        # For importlib and for getattr.
        if node.value.startswith(("dagster._", "docker._")):
            yield node.value
    elif isinstance(node, ast.Assign):
        yield from (f"{ast.unparse(t)} =" for t in node.targets if _is_foreign_class(t))


def _is_private(path: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))


def _is_foreign_class(target: ast.AST) -> bool:
    """A patch: an attribute of a class or module is set."""
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id[:1].isupper()
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_private_names_stand_in_the_inventory(package: str) -> None:
    folder = ROOT / package
    allowed = [folder / name for name in PACKAGES[package]]
    assert all(path.exists() for path in allowed)
    others = [
        path
        for path in sorted(folder.rglob("*.py"))
        if not any(path.is_relative_to(each) for each in allowed)
    ]
    assert others
    outside = {
        str(path.relative_to(ROOT)): set(found(path.read_text())) - _INHERITED for path in others
    }
    assert not {path: names for path, names in outside.items() if names}


# What our subclasses of Dagster's inherit; the inventories check it.
_INHERITED = {f"self.{hook.name}" for hook in launcher_internals.HOOKS} | {
    f"super().{hook.name}" for hook in daemon_internals.HOOKS
}


@pytest.mark.parametrize(
    "text",
    [
        "from dagster._core.events import EngineEventData",
        "from dagster import _check as check",
        "import dagster._cli.api",
        "importlib.import_module('dagster._cli.api')",
        "instance._run_storage.connect()",
        "DagsterGrpcClient._server_address = 1",
        "DagsterWebserver.build_middleware = None",
        "class A(B):\n    def a(self):\n        return self._theirs",
    ],
)
def test_the_scan_finds(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        "from dagster import DagsterInstance",
        "class A:\n    def __init__(self):\n        self._mine = 1\n        print(self._mine)",
        "parts._replace(path='')",
        "os._exit(1)",
    ],
)
def test_the_scan_lets_pass(text: str) -> None:
    assert not found(text)


def test_overridden_private_methods_are_in_the_inventory() -> None:
    """And nothing of ours has by accident the name of something private in a base class."""
    hooks = {hook.name for hook in (*launcher_internals.HOOKS, *daemon_internals.HOOKS)}
    overridden = {
        f"{kind.__qualname__}.{name}"
        for kind in _classes()
        for name, value in vars(kind).items()
        if inspect.isfunction(value) or isinstance(value, (property, classmethod))
        # An enumeration's own are like `_generate_next_value_`.
        if name.startswith("_") and not name.endswith("_") and name not in hooks
        for base in kind.__mro__[1:]
        if _is_foreign(base) and name in vars(base)
    }
    assert overridden == set()


def _classes() -> Iterator[type]:
    for package in (control_plane, compose_run_launcher):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".probes" in each.name:
                continue
            module = importlib.import_module(each.name)
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == module.__name__:
                    yield kind


def _is_foreign(kind: type) -> bool:
    return kind.__module__.partition(".")[0] not in {"control_plane", "compose_run_launcher"}
