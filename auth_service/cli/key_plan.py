"""`auth-service keys status` and `keys timeline`: how the ring stands, and which key signs and verifies when."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from auth_service import app
from auth_service.cli.key_bars import bars
from auth_service.cli.key_svg import svg
from auth_service.cli.options import Json
from auth_service.cli.terminal import fail, moment, print_fields, print_json, run, settings_in_force, write_output
from auth_service.domain.keys import KeyPolicy, KeyRing, is_published_ahead, rotation_due_at
from auth_service.domain.timeline import Timeline
from auth_service.domain.timeline import timeline as planned
from auth_service.settings import Settings

SvgFile = Annotated[Path | None, Parameter(name="--svg", help="Write a picture into this file instead.")]

_LATE = timedelta(minutes=10)
"""A replica looks at the ring every half second: a rotation that is due for longer waits for one."""


def status(*, as_json: Json = False) -> None:
    """Print who signs, what comes next, and what is left for you to do: nothing, usually."""
    settings = settings_in_force()

    async def step() -> None:
        async with app.core(settings) as core:
            ring = await _ring(core)
            policy = app.key_policy(settings)
            plan = planned(ring, now=core.clock.now(), policy=policy)
            print_fields(
                {
                    "ring version": ring.version,
                    "signs now": ring.active.kid,
                    "since": ring.active.activated_at,
                    "next rotation": plan.rotation_at,
                    "signs next": ring.standby.kid,
                    "published": ring.standby.published_at,
                    "published ahead": is_published_ahead(ring, now=plan.now, policy=policy),
                    "known everywhere at": ring.standby.published_at + policy.publish_ahead,
                    "verifying only": [key.kid for key in ring.published if key.verifies_until],
                    "signs without database for": policy.signer_lease,
                    "to do": _to_do(core, ring, plan, policy) or ["nothing"],
                },
                as_json=as_json,
            )

    run(settings, step)


def timeline(*, as_json: Json = False, svg_file: SvgFile = None) -> None:
    """Draw which key signs and verifies when: the past, and the earliest that is planned."""
    settings = settings_in_force()

    async def step() -> None:
        async with app.core(settings) as core:
            ring = await _ring(core)
            policy = app.key_policy(settings)
            plan = planned(ring, now=core.clock.now(), policy=policy)
        if as_json:
            print_json(_told(plan, ring))
            return
        assert ring.active.activated_at is not None
        lately = plan.since(ring.active.activated_at - policy.rotate_every)
        if svg_file is not None:
            write_output(svg_file, svg(lately, title=_title(ring, settings)).encode(), option="--svg")
        else:
            _draw(lately, plan, ring)

    run(settings, step)


async def _ring(core: app.Core) -> KeyRing:
    ring = await core.keys.read()
    if ring.is_empty:
        fail("there are no keys yet: `auth-service serve` makes the first two")
    return ring


def _to_do(core: app.Core, ring: KeyRing, plan: Timeline, policy: KeyPolicy) -> list[str]:
    to_do = []
    if core.keys.is_sealed:
        to_do.append("none of AUTH_KEY_ENCRYPTION_KEYS opens the key that signs: nobody can sign in")
    due_at = rotation_due_at(ring, policy=policy)
    if plan.now > due_at + _LATE:
        to_do.append(f"a rotation is due since {moment(due_at)}: is a replica running?")
    if any(key.sealed_private and not core.sealing.is_sealed_by_first(key.sealed_private) for key in ring.keys):
        to_do.append("run `auth-service keys rewrap`: some private halves need an older key-encryption key")
    return to_do


def _told(plan: Timeline, ring: KeyRing) -> dict[str, object]:
    keys = [
        {
            "kid": life.kid,
            "state": life.state.value if life.state else "planned",
            "published": life.published_at,
            "signs_from": life.signs_from,
            "signs_until": life.signs_until,
            "leaves": life.leaves_at,
        }
        for life in plan.lives
    ]
    return {
        "ring version": ring.version,
        "now": plan.now,
        "next rotation": plan.rotation_at,
        "rotation after it": plan.next_rotation_at,
        "keys": keys,
    }


def _draw(lately: Timeline, plan: Timeline, ring: KeyRing) -> None:
    print(bars(lately))
    print()
    print(f"{moment(plan.now)}  now")
    print(f"{moment(plan.rotation_at)}  {ring.standby.kid[:8]} is due to sign, and a new key to be published")
    print(f"{moment(plan.next_rotation_at)}  that new key is due to sign")
    if older := len(plan.lives) - len(lately.lives):
        print(f"left out: {older} older {'key' if older == 1 else 'keys'} (--json has all)")


def _title(ring: KeyRing, settings: Settings) -> str:
    return f"Signing keys of {settings.token_issuer}, ring version {ring.version}"
