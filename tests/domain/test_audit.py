"""docs/audit.md lists every event with all that it holds, and nothing that there is not."""

import ast
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from auth_service.domain.audit import EventType, types_named
from auth_service.domain.errors import InvalidInput

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `([a-z_.]+)` \| .*\| ([^|]*) \|$", re.MULTILINE)
_OF_EVERY_EVENT = {"origin", "now", "on", "by", "outcome", "reason"}


def documented() -> Mapping[str, set[str]]:
    """The details of each type."""
    section = (ROOT / "docs" / "audit.md").read_text().partition("## Types")[2].partition("\n## ")[0]
    return {found[1]: set(re.findall(r"`(\w+)`", found[2])) for found in _ROW.finditer(section.replace("| |", "|  |"))}


def told() -> Mapping[str, set[str]]:
    """The details that the code gives, where it names the type in the same call."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "auth_service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "happened":
                what = node.args[0]
                if isinstance(what, ast.Attribute):
                    names = {each.arg for each in node.keywords if each.arg} - _OF_EVERY_EVENT
                    found[EventType[what.attr].value] |= names
    return found


@pytest.mark.row("E17")
def test_every_type_is_documented() -> None:
    assert documented().keys() == {each.value for each in EventType}


@pytest.mark.row("E17")
def test_every_detail_is_documented() -> None:
    assert {what: details for what, details in told().items() if not details <= documented()[what]} == {}


def test_a_type_is_named_in_full_or_to_a_dot() -> None:
    assert types_named("") is None
    assert types_named("role.granted") == frozenset({EventType.ROLE_GRANTED})
    assert EventType.SESSION_ENDED in (types_named("session.") or ())
    for word in ("role", ".", "role.x", "ROLE.", "rôle."):
        with pytest.raises(InvalidInput):
            types_named(word)
