"""Tokens of every kind: who gets through, and what the application is told."""

import time

import grpc
from auth_api.v1 import auth_pb2, keys_pb2

from tests.gateways.case import JWT, Cases, identity, passed
from tests.gateways.stage import STAFF, Stage
from tests.support.conditions import eventually
from tests.support.service import PORTAL_API_KEY, Refusal, admin_token, bearer

case = Cases()


@case("a public page, nobody signed in", "D2", "D3", expected="200")
async def public(stage: Stage) -> str:
    reply = await stage.ask("/assets/a.css?x=1")
    assert reply.reached.get("target") == "/assets/a.css?x=1"
    return f"{reply.status} {identity(reply) or ''}".strip()


@case("no token", "D2", "S66", expected="401")
async def no_token(stage: Stage) -> str:
    reply = await stage.ask("/me/x")
    assert reply.header("www-authenticate").startswith("Bearer"), reply
    return str(reply.status)


@case("a valid token", "D2", expected="200, and who it is", but={JWT: "200, and who it is but for roles"})
async def valid(stage: Stage) -> str:
    claims = await stage.service.verify(await stage.token(STAFF))
    reply = await stage.ask("/staff/x?y=1&z=%2F", token=await stage.token(STAFF))
    told = identity(reply)
    whole = {
        "x-auth-subject": claims.subject,
        "x-auth-username": claims.username,
        "x-auth-user-number": str(claims.user_number),
        "x-auth-session": claims.session_id,
        "x-auth-client": claims.client_id,
    }
    assert reply.reached.get("target") == "/staff/x?y=1&z=%2F", reply
    if told == whole | {"x-auth-roles": "staff"}:
        return f"{reply.status}, and who it is"
    return f"{reply.status}, and who it is but for roles" if told == whole else f"{reply.status} {told}"


@case("an expired token", "D2", expected="401")
async def expired(stage: Stage) -> str:
    token = await stage.signed(exp=int(time.time()) - 600, iat=int(time.time()) - 1200)
    return str((await stage.ask("/me/x", token=token)).status)


@case("the session was ended a moment ago", "D2", expected="401", but={JWT: "200, until it expires"})
async def ended(stage: Stage) -> str:
    pair = await stage.service.login()
    assert passed(await stage.ask("/me/x", token=pair.access_token))
    await stage.service.logout(pair.refresh_token)
    reply = await stage.ask("/me/x", token=pair.access_token)
    return "200, until it expires" if passed(reply) else str(reply.status)


@case("a token for another audience", "D2", "S6", expected="401", but={JWT: "403"})
async def wrong_audience(stage: Stage) -> str:
    return str((await stage.ask("/me/x", token=await stage.signed(aud="somebody-else"))).status)


@case("a token of another issuer", "D2", expected="401")
async def wrong_issuer(stage: Stage) -> str:
    return str((await stage.ask("/me/x", token=await stage.signed(iss="https://auth.example.org"))).status)


@case("a forged token, garbage, a refresh token, an API key", "D2", "S1", expected="401 each")
async def forged(stage: Stage) -> str:
    refresh = (await stage.service.login()).refresh_token
    said = {
        (await stage.ask("/me/x", token=each)).status
        for each in (await stage.forged(), "x", "a.b.c", refresh, PORTAL_API_KEY)
    }
    return f"{said.pop()} each" if len(said) == 1 else str(sorted(said))


@case("a token in the query, in a form, in another header", "S66", expected="401 each")
async def elsewhere(stage: Stage) -> str:
    token = await stage.token()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    replies = [
        await stage.ask(f"/me/x?access_token={token}"),
        await stage.ask("/me/x", form, method="POST", body=f"access_token={token}".encode()),
        *[await stage.ask("/me/x", (name, f"Bearer {token}")) for name in ("X-Access-Token", "Proxy-Authorization")],
    ]
    said = {reply.status for reply in replies}
    return f"{said.pop()} each" if len(said) == 1 else str(sorted(said))


@case("two Authorization headers, one of them good", "S64", "S66", expected="401", but={"nginx": "400"})
async def doubled(stage: Stage) -> str:
    good, bad = ("Authorization", f"Bearer {await stage.token()}"), ("Authorization", "Bearer x")
    said = {(await stage.ask("/me/x", *two)).status for two in ((good, bad), (bad, good), (good, good))}
    return str(said.pop()) if len(said) == 1 else str(sorted(said))


@case("what the policy does not let them do", "D2", "D3", expected="403")
async def denied(stage: Stage) -> str:
    token, staff = await stage.token(), await stage.token(STAFF)
    replies = [
        await stage.ask("/staff/x", token=token),
        await stage.ask("/staff/x", token=staff, method="POST"),
        await stage.ask("/admin/x", token=staff),
        await stage.ask("/nowhere", token=staff),
    ]
    said = {reply.status for reply in replies}
    return str(said.pop()) if len(said) == 1 else str(sorted(said))


@case("a service, by its scopes", "D2", expected="200; 403 where people go")
async def by_scope(stage: Stage) -> str:
    request = auth_pb2.LoginServiceRequest(api_key=PORTAL_API_KEY)
    token = (await stage.service.auth.LoginService(request)).access_token
    reply = await stage.ask("/api/experiments", token=token)
    assert identity(reply).get("x-auth-scopes") == "experiments:read", reply
    return f"{reply.status}; {(await stage.ask('/me/x', token=token)).status} where people go"


@case("the signing key was changed: a token of before, a token of after", "D2", "S24", expected="200, 200")
async def rotated(stage: Stage) -> str:
    before = (await stage.service.login()).access_token
    administrator, keys = bearer(await admin_token(stage.service)), stage.service.keys

    async def rotates() -> bool:
        ring = await keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=administrator)
        request = keys_pb2.RotateSigningKeyRequest(ring_version=ring.ring_version)
        try:
            await keys.RotateSigningKey(request, metadata=administrator)
        except grpc.aio.AioRpcError as error:
            if Refusal.of(error).reason != "RING_CHANGED":
                raise
            # The service itself has tidied its ring meanwhile.
            return False
        return True

    await eventually(rotates)
    after = (await stage.service.login()).access_token
    assert before.split(".")[0] != after.split(".")[0]
    return ", ".join([str((await stage.ask("/me/x", token=each)).status) for each in (before, after)])
