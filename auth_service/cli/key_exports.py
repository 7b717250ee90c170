"""`auth-service keys export`: copies of the key set for verifiers that fetch none."""

import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from auth_service import app
from auth_service.cli.key_formats import Copy, Format, Names, rendered
from auth_service.cli.terminal import fail, run, settings_where_it_serves, write_output
from auth_service.domain.timeline import timeline
from auth_service.settings import Settings

_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def export(
    *,
    form: Annotated[Format, Parameter(name="--format")],
    output: Path | None = None,
    name: str = "auth-service-keys",
    namespace: str | None = None,
) -> None:
    """Print the published keys for a verifier that fetches none. When to do so again is in it, and on standard error.

    Parameters
    ----------
    form
        jwks is what the service serves; nginx is for NGINX Plus.
    output
        Write this file instead, as a whole or not at all.
    name
        Of the ConfigMap, or of Kong's consumer.
    namespace
        Of the ConfigMap; the one of whoever applies it if not given.
    """
    for option, value in (("--name", name), ("--namespace", namespace)):
        if value is not None and not _DNS_NAME.fullmatch(value):
            fail(f"{option}: expected up to 63 of a-z 0-9 -, such as auth-service-keys")
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            copy = await _copy(core, settings)
        content = rendered(copy, form, Names(name, namespace))
        if output is None:
            sys.stdout.write(content.decode())
        else:
            write_output(output, content, option="--output")
        print(f"ring version {copy.ring_version}. {copy.renewal}", file=sys.stderr)

    run(settings, step)


async def _copy(core: app.Core, settings: Settings) -> Copy:
    ring = await core.keys.read()
    if ring.is_empty:
        fail("there are no keys yet: `auth-service serve` makes the first two")
    plan = timeline(ring, now=core.clock.now(), policy=app.key_policy(settings))
    return Copy(
        document=core.keys.published().document,
        keys=ring.published,
        ring_version=ring.version,
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        renew_from=plan.rotation_at,
        renew_by=plan.next_rotation_at,
    )
