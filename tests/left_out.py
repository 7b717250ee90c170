"""Says, in one line each, what this machine cannot test and why. `.ci/run` installs all of it."""

import shutil

from tests.support import gateways, pgbouncer, rabbitmq

NEEDED = {
    "grpcurl": "the README's console session",
    "npm": "the TypeScript client, which `make other-languages` tests",
    "go": "the Go client, which `make other-languages` tests",
    "chromium": "pages in a real browser, and axe's judgement of them",
    "cc": "the drill with wrong clocks, which builds a library to preload",
}


def main() -> None:
    for program, purpose in NEEDED.items():
        if shutil.which(program) is None:
            print(f"left out: {purpose}, because there is no {program}")
    has_broker = rabbitmq.available()
    if not has_broker:
        print(f"left out: events to a real RabbitMQ, because there is {has_broker.reason}")
    lacking = {recipe.program for recipe in gateways.RECIPES.values() if gateways.why_not(recipe)}
    if lacking:
        there = gateways.root()
        print(
            f"left out: deploy/ with real {', '.join(sorted(lacking))}, because they are not in {there}: make gateways"
        )
    can_bounce = pgbouncer.available()
    if not can_bounce:
        print(f"left out: PostgreSQL through a real PgBouncer, because {can_bounce.reason}")


if __name__ == "__main__":
    main()
