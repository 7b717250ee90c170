"""Says, in one line each, what this machine cannot test and why. `.ci/run` installs all of it."""

import os
import shutil

from tests.support import pgbouncer

NEEDED = {
    "grpcurl": "the README's calls by the real grpcurl (buf curl stands in)",
    "hadolint": "linting the Dockerfile",
}


def main() -> None:
    for program, purpose in NEEDED.items():
        if not os.environ.get(f"TEST_{program.upper()}_BIN") and shutil.which(program) is None:
            print(f"left out: {purpose}, because there is no {program}")
    can_bounce = pgbouncer.available()
    if not can_bounce:
        print(f"left out: PostgreSQL through a real PgBouncer, because {can_bounce.reason}")


if __name__ == "__main__":
    main()
