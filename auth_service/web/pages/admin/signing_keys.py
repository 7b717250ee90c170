"""The keys that sign tokens: how they stand, what comes next, and the changes that somebody may have to make.

Every change has a page that says first what will happen, for the ring as it was seen then: a ring that has changed
meanwhile refuses.
"""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.domain.keys import State
from auth_service.domain.policy import STRONGEST_LEVEL
from auth_service.web.methods import Answer
from auth_service.web.pages.admin.key_views import consumer_names, consumers_of, keys_of
from auth_service.web.pages.admin.sections import endpoint
from auth_service.web.pages.admin.wire import moment
from auth_service.web.pages.site import Section, Site
from auth_service.web.pages.visits import Handler, Visit

PATH = "/admin/signing-keys"
LEVEL = STRONGEST_LEVEL
PUBLISHED = {State.STANDBY, State.ACTIVE, State.RETIRING}
SHOWN = 20
"""Consumers on the page about keys; another page has them all."""


def routes(site: Site) -> Sequence[BaseRoute]:
    def route(path: str, handler: Handler, *methods: str) -> Route:
        return Route(PATH + path, endpoint(site, handler, level=LEVEL), methods=["GET", *methods])

    return [
        route("", _keys),
        route("/consumers", _consumers),
        route("/rotate", _rotate, "POST"),
        route("/roll-back", _roll_back, "POST"),
        route("/canary", _canary, "POST"),
        route("/{kid}/revoke", _revoke, "POST"),
    ]


async def _keys(visit: Visit) -> Response:
    keys = await keys_of(visit)
    return await visit.page("admin/signing_keys.html", keys=keys, shown=keys.consumers.all[:SHOWN], published=PUBLISHED)


async def _consumers(visit: Visit) -> Response:
    return await visit.page("admin/key_consumers.html", consumers=await consumers_of(visit))


async def _rotate(visit: Visit) -> Response:
    refused: Answer | None = None
    if visit.is_post:
        # What was safe when it was looked at must still be so; what was not is done by whoever says that they know.
        is_forced = visit.form["anyway"] == "yes"
        refused = await visit.change(
            "KeyService/RotateSigningKey", ring_version=_version(visit), require_published_ahead=not is_forced
        )
        if refused.code == "ok":
            active, demoted = refused.response.active, refused.response.demoted
            return visit.done(PATH, f"{active.kid} signs now. {demoted.kid} verifies what it signed.")
    return await visit.page("admin/key_rotate.html", refused=refused, keys=await keys_of(visit))


async def _roll_back(visit: Visit) -> Response:
    refused: Answer | None = None
    if visit.is_post:
        refused = await visit.change("KeyService/RollbackSigningKey", ring_version=_version(visit))
        if refused.code == "ok":
            return visit.done(PATH, f"{refused.response.active.kid} signs again.")
    return await visit.page("admin/key_roll_back.html", refused=refused, keys=await keys_of(visit))


async def _revoke(visit: Visit) -> Response:
    keys, kid = await keys_of(visit), visit.path("kid")
    life = keys.life(kid)
    if life is None or life.state not in PUBLISHED:
        return await visit.error(404, "No key that is published has this name: there is nothing to revoke.")
    if not visit.is_post:
        return await visit.page("admin/key_revoke.html", keys=keys, life=life)
    answer = await visit.change("KeyService/RevokeSigningKey", kid=kid, ring_version=_version(visit))
    if answer.code != "ok":
        return await visit.page("admin/key_revoke.html", refused=answer, keys=keys, life=life)
    told = answer.response
    return await visit.page(
        "admin/key_revoked.html",
        kid=kid,
        active=told.active.kid,
        tokens_until=moment(told, "tokens_until"),
        behind=consumer_names(told.consumers_behind),
        is_unknown=told.consumers_unknown,
    )


async def _canary(visit: Visit) -> Response:
    if not visit.is_post:
        return await visit.page("admin/key_canary.html", canary=None)
    answer = await visit.change("KeyService/MintCanary")
    if answer.code != "ok":
        return await visit.page("admin/key_canary.html", refused=answer, canary=None)
    return await visit.page("admin/key_canary.html", canary=answer.response)


def _version(visit: Visit) -> int:
    """Of the ring that the page showed; one that there never was for what is no number."""
    told = visit.form["ring_version"]
    return int(told) if told.isascii() and told.isdigit() and len(told) <= 18 else -1


SECTION = Section(PATH, "Signing keys", LEVEL, routes)
