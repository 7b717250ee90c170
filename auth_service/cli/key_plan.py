"""`auth-service keys status` and `keys timeline`: how the ring stands, and which key signs and verifies when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from auth_service import app
from auth_service.cli.options import Json
from auth_service.cli.terminal import (
    fail,
    moment,
    print_fields,
    print_json,
    run,
    settings_where_it_serves,
    write_output,
)
from auth_service.domain.consumers import Sighting, Waiting, activation, behind, named_in_short
from auth_service.domain.keys import KeyPolicy, KeyRing, is_published_ahead, rotation_due_at
from auth_service.domain.timeline import Timeline, lately
from auth_service.domain.timeline import timeline as planned
from auth_service.drawing import key_picture
from auth_service.drawing.key_bars import bars
from auth_service.drawing.labels import state_of
from auth_service.settings import Settings

SvgFile = Annotated[Path | None, Parameter(name="--svg", help="Write a picture into this file instead.")]

_LATE = timedelta(minutes=10)
"""A replica looks at the ring every half second: a rotation that is due for longer waits for one."""


def status(*, as_json: Json = False) -> None:
    """Print who signs, what comes next, and what is left for you to do: nothing, usually."""
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            ring = await _ring(core)
            policy = app.key_policy(settings)
            plan = planned(ring, now=core.clock.now(), policy=policy)
            rotation = await _rotation(core, ring, policy, now=plan.now)
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
                    "consumers without it": len(rotation.behind),
                    "verifying only": [key.kid for key in ring.published if key.verifies_until],
                    "signs without database for": policy.signer_lease,
                    "to do": _to_do(core, ring, rotation, now=plan.now) or ["nothing"],
                },
                as_json=as_json,
            )

    run(settings, step)


def timeline(*, as_json: Json = False, svg_file: SvgFile = None) -> None:
    """Draw which key signs and verifies when: the past, and the earliest that is planned."""
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            ring = await _ring(core)
            policy = app.key_policy(settings)
            plan = planned(ring, now=core.clock.now(), policy=policy)
        if as_json:
            print_json(_told(plan, ring))
            return
        recent = lately(ring, plan, policy=policy)
        if svg_file is not None:
            write_output(svg_file, key_picture.file(recent, title=_title(ring, settings)).encode(), option="--svg")
        else:
            _draw(recent, plan, ring)

    run(settings, step)


async def _ring(core: app.Core) -> KeyRing:
    ring = await core.keys.read()
    if ring.is_empty:
        fail("there are no keys yet: `auth-service serve` makes the first two")
    return ring


@dataclass(frozen=True, slots=True)
class _Rotation:
    """When the standby is to sign, and which recent consumers do not hold it; `waits_until` None if nobody waits."""

    due_at: datetime
    behind: tuple[Sighting, ...]
    waits_until: datetime | None


async def _rotation(core: app.Core, ring: KeyRing, policy: KeyPolicy, *, now: datetime) -> _Rotation:
    lacking = await core.consumers.lacking_standby_of(ring)
    evidence = core.consumers.policy
    due_at = rotation_due_at(ring, policy=policy)
    match activation(ring, lacking, now=now, keys=policy, policy=evidence, is_complete=True):
        case Waiting(late, until):
            return _Rotation(due_at, late, until)
        case _:
            return _Rotation(due_at, behind(lacking, ring=ring, now=now, policy=evidence), None)


def _to_do(core: app.Core, ring: KeyRing, rotation: _Rotation, *, now: datetime) -> list[str]:
    to_do = []
    if core.keys.is_sealed:
        to_do.append("none of AUTH_KEY_ENCRYPTION_KEYS opens the key that signs: nobody can sign in")
    if rotation.waits_until is not None:
        to_do.append(
            f"see `auth-service keys consumers`: the rotation waits until {moment(rotation.waits_until)} at most for"
            f" {named_in_short(rotation.behind)}"
        )
    elif now > rotation.due_at + _LATE + (core.consumers.policy.patience if rotation.behind else timedelta(0)):
        to_do.append(f"a rotation is due since {moment(rotation.due_at)}: is a replica running?")
    if any(key.sealed_private and not core.sealing.is_sealed_by_first(key.sealed_private) for key in ring.keys):
        to_do.append("run `auth-service keys rewrap`: some private halves need an older key-encryption key")
    return to_do


def _told(plan: Timeline, ring: KeyRing) -> dict[str, object]:
    keys = [
        {
            "kid": life.kid,
            "state": state_of(life),
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


def _draw(recent: Timeline, plan: Timeline, ring: KeyRing) -> None:
    print(bars(recent))
    print()
    print(f"{moment(plan.now)}  now")
    print(f"{moment(plan.rotation_at)}  {ring.standby.kid[:8]} is due to sign, and a new key to be published")
    print(f"{moment(plan.next_rotation_at)}  that new key is due to sign")
    if older := len(plan.lives) - len(recent.lives):
        print(f"left out: {older} older {'key' if older == 1 else 'keys'} (--json has all)")


def _title(ring: KeyRing, settings: Settings) -> str:
    return f"Signing keys of {settings.token_issuer}, ring version {ring.version}"
