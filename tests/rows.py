"""Prints each promise of docs/promises.md with the tests that prove it; fails where one of a finished area has none.

A test says which by `@pytest.mark.row("B7")`. Tests are collected, not run. `--brief` prints what is wrong only.
"""

import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

PROMISES = Path(__file__).parent.parent / "docs" / "promises.md"
_ROW = re.compile(r"\| (?P<name>[A-Z]\d+(/\w+)?) \| (?P<text>.+) \| (?P<area>[\w-]+) \|")
_FINISHED = re.compile(r"^Finished areas: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Promise:
    text: str
    area: str


class Marks:
    """A pytest plugin: the tests of each row."""

    def __init__(self) -> None:
        self.tests: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: Iterable[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("row"):
                for row in mark.args:
                    # Whatever its parameters: one test, one promise.
                    self.tests[row].add(item.nodeid.partition("[")[0])


def promises(text: str) -> Mapping[str, Promise]:
    """By row, in the order of the document."""
    return {found["name"]: Promise(found["text"], found["area"]) for found in _ROW.finditer(text)}


def finished_areas(text: str) -> frozenset[str]:
    found = _FINISHED.search(text)
    assert found is not None, "docs/promises.md names the finished areas"
    return frozenset(found[1].split(", "))


def defects(
    rows: Mapping[str, Promise], *, finished: frozenset[str], tests: Mapping[str, Iterable[str]]
) -> Sequence[str]:
    """What is wrong, a line each."""
    return [
        *(f"{row}: no test proves it" for row, each in rows.items() if each.area in finished and row not in tests),
        *(f"{row}: no such row, in {', '.join(sorted(tests[row]))}" for row in tests if row not in rows),
        *(f"{area}: an area that no row has" for area in sorted(finished - {each.area for each in rows.values()})),
    ]


def main() -> int:
    text = PROMISES.read_text()
    rows, finished = promises(text), finished_areas(text)
    marks, said = Marks(), io.StringIO()
    with redirect_stdout(said):
        code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[marks])
    if code != pytest.ExitCode.OK:
        print(said.getvalue())
        return 1
    is_brief = "--brief" in sys.argv[1:]
    for row, each in rows.items() if not is_brief else ():
        print(f"{row:<12}{each.text}" + ("" if each.area in finished else f"  [open: {each.area}]"))
        for test in sorted(marks.tests.get(row, ())):
            print(f"{'':<14}{test}")
    wrong = defects(rows, finished=finished, tests=marks.tests)
    print("\n".join(wrong or [f"{len(rows)} rows, {len(marks.tests)} of them with tests"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
