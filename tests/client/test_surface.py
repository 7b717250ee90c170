"""What users of the library may lean on: the names of the README, and the same face on each stack."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from auth_client import aio, grpclib, sync

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"
# What differs by nature: how a channel is secured, and how a stack hands out a place to hook into.
BY_NATURE = {
    "AuthClient": set(),
    "Session": {"attach", "call", "channel", "close"},
    "Guard": {"attach", "intercept_service"},
}


def documented() -> dict[str, set[str]]:
    """The public names by module."""
    rows = re.findall(r"^\| `(auth_client[.\w]*)` \|[^|]*\| (.*) \|$", README.read_text(), re.MULTILINE)
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}


@pytest.mark.parametrize("module", documented())
def test_the_readme_names_what_a_module_offers_and_nothing_else(module: str) -> None:
    loaded = importlib.import_module(module)

    assert set(loaded.__all__) == documented()[module]
    assert all(hasattr(loaded, name) for name in loaded.__all__)


def test_every_module_that_others_may_import_is_in_the_table() -> None:
    assert documented().keys() == {
        "auth_client",
        *(f"auth_client.{name}" for name in ("aio", "sync", "grpclib", "asgi", "fastapi", "trust")),
    }


@pytest.mark.parametrize("name", BY_NATURE)
def test_each_stack_has_the_same_face(name: str) -> None:
    faces = [_methods(getattr(stack, name)) - BY_NATURE[name] for stack in (aio, sync, grpclib)]

    assert faces[0] == faces[1] == faces[2]


def test_each_stack_takes_the_same_arguments() -> None:
    for method in _methods(aio.AuthClient):
        one, another, third = (_arguments(getattr(stack.AuthClient, method)) for stack in (aio, sync, grpclib))
        assert one == another == third, method


def test_every_public_name_is_explained() -> None:
    bare = [
        f"{module}.{name}"
        for module, names in documented().items()
        for name in names
        if inspect.isclass(thing := getattr(importlib.import_module(module), name)) and not inspect.getdoc(thing)
    ]

    assert bare == []


def _methods(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def _arguments(method: object) -> list[str]:
    assert callable(method)
    return list(inspect.signature(method).parameters)
