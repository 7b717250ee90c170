"""`auth-service keys …`: the ring of signing keys, straight from the database."""

import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import App, Parameter

from auth_service import app
from auth_service.cli.key_consumers import consumers, line_of
from auth_service.cli.key_exports import export
from auth_service.cli.key_plan import status, timeline
from auth_service.cli.options import Json, Yes
from auth_service.cli.terminal import confirm, moment, print_rows, run, settings_where_it_serves
from auth_service.domain.audit import OPERATOR
from auth_service.domain.consumers import behind, named_in_short
from auth_service.domain.keys import is_published_ahead
from auth_service.settings import typed
from auth_service.usecases.key_consumers import ShownConsumer
from auth_service.usecases.key_revocation import KeyRevocation

# A thumbprint may begin with a hyphen: one in 64 does.
Kid = Annotated[str, Parameter(allow_leading_hyphen=True)]

keys = App(name="keys", help="The ring of signing keys.")
for _command in (consumers, export, status, timeline):
    keys.command(_command)


@keys.command(name="list")
def list_keys(*, as_json: Json = False) -> None:
    """Print every key of the ring, newest first."""
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            ring = await core.keys.read()
            rows = [
                {
                    "kid": key.kid,
                    "state": key.state.value,
                    "bits": key.size_bits,
                    "published": key.published_at,
                    "activated": key.activated_at,
                    "demoted": key.demoted_at,
                    "verifies until": key.verifies_until,
                    "private half": "sealed" if key.sealed_private else None,
                }
                for key in reversed(ring.keys)
            ]
            print_rows(rows, as_json=as_json)
            if not as_json:
                print(f"ring version {ring.version}")

    run(settings, step)


@keys.command
def rotate(*, only_if_published_ahead: bool = False, ring_version: int | None = None) -> None:
    """Let the standby key sign from now on, and publish the next standby.

    Parameters
    ----------
    only_if_published_ahead
        Refuse unless every verifier has had the time to fetch the standby, and all that were seen lately did.
    ring_version
        Rotate only while the ring is at this version.
    """
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            before = await core.keys.read()
            # Before it: whoever fetches from then on holds another standby.
            lacking = () if before.is_empty else await core.consumers.lacking_standby_of(before)
            late = behind(lacking, ring=before, now=core.clock.now(), policy=core.consumers.policy)
            ring = await core.keys.rotate(
                origin=OPERATOR, ring_version=ring_version, require_published_ahead=only_if_published_ahead
            )
            print(f"{ring.active.kid} signs now; {ring.standby.kid} is the next; ring version {ring.version}")
            policy = app.key_policy(settings)
            if not is_published_ahead(before, now=core.clock.now(), policy=policy):
                print(
                    f"warning: it had been published for less than {typed(policy.publish_ahead)}: verifiers that"
                    " neither hold it nor look up an unknown kid refuse new tokens until they fetch the key set again",
                    file=sys.stderr,
                )
            if late:
                print(
                    f"warning: {len(late)} recent consumers were not seen to hold it: {named_in_short(late)};"
                    " `keys rollback` takes it back",
                    file=sys.stderr,
                )

    run(settings, step)


@keys.command
def rollback(*, ring_version: int | None = None, yes: Yes = False) -> None:
    """Let the key that signed before sign again, while it is held. What was signed since stays good.

    Parameters
    ----------
    ring_version
        Roll back only while the ring is at this version.
    """
    confirm("Let the key that signed before sign again? The key that signs now goes on verifying.", yes=yes)
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            ring = await core.keys.roll_back(origin=OPERATOR, ring_version=ring_version)
            print(
                f"{ring.active.kid} signs again; {ring.last_demoted.kid} verifies what it signed;"
                f" {ring.standby.kid} is still the next; ring version {ring.version}"
            )

    run(settings, step)


@keys.command
def canary() -> None:
    """Print a token without rights that the standby signed, good for a minute: to try every verifier with."""
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            await core.keys.read()
            minted = await app.canaries(settings, core).mint(origin=OPERATOR)
            print(minted.token)
            print(
                f"signed by {minted.kid}, over at {moment(minted.expires_at)}; a verifier that refuses its signature"
                " does not hold that key yet",
                file=sys.stderr,
            )

    run(settings, step)


@keys.command
def revoke(kid: Kid, *, ring_version: int | None = None, yes: Yes = False) -> None:
    """Drop a key from the key set and refuse everything that it signed.

    Parameters
    ----------
    kid
        As `keys list` prints it.
    ring_version
        Revoke only while the ring is at this version.
    """
    confirm(f"Refuse every token that {kid} signed? People stay signed in; their clients refresh.", yes=yes)
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            revocation = KeyRevocation(core.keys, consumers=core.consumers)
            revoked = await revocation.revoke(kid, origin=OPERATOR, ring_version=ring_version)
            ring = revoked.ring
            print(f"{kid} is revoked; {ring.active.kid} signs now; ring version {ring.version}")
            print("nobody has to sign in again: clients refresh, and get tokens of the key that signs now")
            if revoked.tokens_until is None:
                print("it signed no token")
            else:
                print(f"who has not heard of it takes tokens of this key until {moment(revoked.tokens_until)}")
            _tell_who_trusts(revoked.holding_older)

    run(settings, step)


@keys.command
def rewrap() -> None:
    """Seal every private key with the first of AUTH_KEY_ENCRYPTION_KEYS."""
    settings = settings_where_it_serves()

    async def step() -> None:
        async with app.core(settings) as core:
            print(f"{await core.keys.rewrap()} private keys sealed anew")

    run(settings, step)


def _tell_who_trusts(holding_older: Sequence[ShownConsumer] | None) -> None:
    if holding_older is None:
        print("warning: who still trusts it could not be read; see `keys consumers`", file=sys.stderr)
    elif not holding_older:
        print("no consumer that was seen lately has the former key set")
    else:
        print(f"{len(holding_older)} consumers seen lately have the former key set; streams learn of it at once:")
        print_rows([line_of(each) for each in holding_older], as_json=False)
