"""Console sessions in documents: `$ ` begins a command, what follows is printed, and `…` stands for what differs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Step = tuple[str, str]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def session(document: Path) -> Sequence[Step]:
    """Each command of the console blocks, and what it prints."""
    steps = re.split(r"^\$ ", "\n".join(blocks(document, "console")), flags=re.MULTILINE)[1:]
    return [(command, printed.strip()) for command, _, printed in (step.partition("\n") for step in steps)]


def typed(steps: Sequence[Step], *, where: Callable[[str], str], folder: Path, at_least: int) -> None:
    """Type all of it into one shell in `folder`. `where` puts a service's addresses in place of the usual ones.

    Raises AssertionError where something else is printed, or where there are fewer than `at_least` steps.
    """
    steps = [(where(command), where(printed)) for command, printed in steps]
    script = "\n".join(f"{command}\necho; echo '--- end'" for command, _ in steps)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    ran = subprocess.run(
        ["bash"], input=script, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert len(steps) >= at_least
    *outputs, after_the_last = ran.stdout.split("--- end\n")
    assert after_the_last == ""
    for (command, expected), printed in zip(steps, outputs, strict=True):
        assert _matches(printed, expected), f"{command}\nprinted\n{printed}\n{ran.stderr}\nnot\n{expected}"


def _matches(printed: str, expected: str) -> bool:
    pattern = re.escape(expected).replace("…", "[^\n]+")
    return re.fullmatch(pattern, printed.strip()) is not None
