"""The operator's verbs through the door: who takes the key set, canaries, rollback, and what a revocation leaves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import audit_pb2, audit_pb2_grpc, auth_pb2, keys_pb2, trust_pb2, trust_pb2_grpc
from auth_client import HttpJwks
from auth_client.trust import GrpcJwks, TrustStream

from auth_service.demo import Facility
from auth_service.domain.consumers import NAME_HEADER, REGULAR_AFTER
from auth_service.rpc.permissions import OUR_FILES, PERMISSIONS
from auth_service.storage.schema import key_consumer, signing_key
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import Databases, Service, admin_token, bearer, refusal, running_service

JWKS = "/.well-known/jwks.json"
HTTP, STREAM, GRPC = (
    keys_pb2.KEY_CONSUMER_KIND_HTTP,
    keys_pb2.KEY_CONSUMER_KIND_STREAM,
    keys_pb2.KEY_CONSUMER_KIND_GRPC,
)
DAY = timedelta(days=1)


async def fetch(service: Service, method: str = "GET", **headers: str) -> str:
    """The ETag that it was answered with."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with service.http.request(method, JWKS, headers=named) as answer:
        await answer.read()
        return str(answer.headers["ETag"])


async def listed(service: Service, admin: tuple[tuple[str, str], ...]) -> list[keys_pb2.KeyConsumer]:
    """All, by pages of one."""
    found: list[keys_pb2.KeyConsumer] = []
    request = keys_pb2.ListKeyConsumersRequest(page_size=1)
    while True:
        page = await service.keys.ListKeyConsumers(request, metadata=admin)
        assert len(page.key_consumers) <= 1
        found += page.key_consumers
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def of_a_while(ago: timedelta) -> "sa.Update":
    """As if whoever was seen had come for long, and last so long `ago`."""
    last = datetime.now(UTC) - ago
    first = last - timedelta(hours=1)
    return sa.update(key_consumer).values(
        first_seen_at=first, regular_from=first + REGULAR_AFTER, last_seen_at=last, times=7
    )


async def test_every_way_to_take_the_key_set_is_seen_with_what_was_held_before(start: Start) -> None:
    service = await start(trusted_proxies="127.0.0.1,::1", key_consumers="envoy,gateway=15m")
    admin = bearer(await admin_token(service))
    etag = await fetch(service, X_Consumer_Name="Envoy edge", User_Agent="x" * 300, X_Forwarded_For="192.0.2.7")
    await fetch(service, If_None_Match=f'"x", W/"{etag}', X_Forwarded_For="192.0.2.8")
    await fetch(service, If_None_Match='"7-0123456789abcdef"', X_Forwarded_For="192.0.2.9")
    # These neither get the document nor show that they have it.
    await fetch(service, "HEAD", X_Forwarded_For="192.0.2.10")
    await fetch(service, If_None_Match="*", X_Forwarded_For="192.0.2.11")
    await service.auth.GetJwks(auth_pb2.GetJwksRequest(), metadata=((NAME_HEADER, "gateway"),))
    stub = trust_pb2_grpc.TrustServiceStub(service.channel)
    stream = stub.WatchTrust(trust_pb2.WatchTrustRequest(), metadata=((NAME_HEADER, "follower"),))
    messages = aiter(stream)
    for _ in range(2):
        await anext(messages)

    found = {(each.kind, each.name or each.address): each for each in await listed(service, admin)}

    stream.cancel()
    assert found.keys() == {
        (HTTP, "Envoy edge"),
        (HTTP, "192.0.2.8"),
        (HTTP, "192.0.2.9"),
        (GRPC, "gateway"),
        (STREAM, "follower"),
    }
    edge = found[HTTP, "Envoy edge"]
    assert (edge.address, edge.user_agent, edge.profile) == ("192.0.2.7", "x" * 255, "envoy")
    assert found[GRPC, "gateway"].profile == "gateway"
    assert "grpc" in found[STREAM, "follower"].user_agent
    assert found[HTTP, "192.0.2.8"].showed_ring_version == 1
    assert found[HTTP, "192.0.2.9"].showed_ring_version == 7
    assert not edge.HasField("showed_ring_version")
    for each in found.values():
        assert (each.ring_version, each.holds_standby, each.recent) == (1, True, False)
        assert each.first_seen_at.ToSeconds() > 0
    # The times of what came once, and of a stream that sent several messages.
    assert (edge.times, edge.HasField("interval")) == (1, False)


async def test_verifiers_of_the_client_library_are_known_by_what_they_are_and_by_name(start: Start) -> None:
    service = await start(key_consumers="auth-client")
    admin = bearer(await admin_token(service))
    grpc_address = str(service.where.grpc)
    async with (
        HttpJwks(f"http://{service.where.http}{JWKS}", consumer_name="scans-1"),
        GrpcJwks(grpc_address, plaintext=True, consumer_name="scans-2"),
        TrustStream(grpc_address, plaintext=True, consumer_name="scans-3"),
    ):

        async def are_seen() -> bool:
            return {(each.kind, each.name, each.profile) for each in await listed(service, admin)} == {
                (HTTP, "scans-1", "auth-client"),
                (GRPC, "scans-2", "auth-client"),
                (STREAM, "scans-3", "auth-client"),
            }

        await eventually(are_seen)


@pytest.mark.row("S23")
async def test_a_rotation_that_is_due_waits_for_a_consumer_until_it_fetches(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    await fetch(service)
    await listed(service, admin)
    # A month and a day later: the standby is new, and the consumer was last seen before it was published.
    now = datetime.now(UTC)
    await service.sql(
        of_a_while(1.5 * DAY),
        sa.update(key_consumer).values(standby_kid="the one before"),
        sa.update(signing_key).where(signing_key.c.state == "standby").values(published_at=now - 1.1 * DAY),
        sa.update(signing_key).where(signing_key.c.state == "active").values(activated_at=now - 60 * DAY),
        sa.text("UPDATE key_ring SET version = version + 1"),
    )

    async def is_due() -> bool:
        page = await service.keys.ListKeyConsumers(keys_pb2.ListKeyConsumersRequest(), metadata=admin)
        return bool(page.rotation_due_at.ToDatetime(UTC) < now)

    await eventually(is_due)
    page = await service.keys.ListKeyConsumers(keys_pb2.ListKeyConsumersRequest(), metadata=admin)
    (waited_for,) = page.key_consumers
    assert (waited_for.recent, waited_for.holds_standby) == (True, False)
    assert page.rotation_at_the_latest.ToDatetime() - page.rotation_due_at.ToDatetime() == DAY
    refused = await refusal(
        service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(require_published_ahead=True), metadata=admin)
    )
    assert refused.verdict == ("FAILED_PRECONDITION", "KEY_STATE")
    assert "1 recent consumers do not hold the standby key: Python" in refused.message
    assert page.standby_kid in {key["kid"] for key in await service.jwks()}  # And this is the fetch.

    async def has_rotated() -> bool:
        now_listed = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
        active = next(key for key in now_listed.signing_keys if key.state == keys_pb2.SIGNING_KEY_STATE_ACTIVE)
        return bool(active.kid == page.standby_kid)

    await eventually(has_rotated)


@pytest.mark.row("E17")
async def test_a_canary_is_signed_by_the_standby_and_opens_nothing(service: Service) -> None:
    admin = bearer(await admin_token(service))
    ring = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
    standby = next(key for key in ring.signing_keys if key.state == keys_pb2.SIGNING_KEY_STATE_STANDBY)

    minted = await service.keys.MintCanary(keys_pb2.MintCanaryRequest(), metadata=admin)

    told = await service.verify(minted.token)
    assert told.key_id == minted.kid == standby.kid
    assert (told.client_id, [*told.scopes]) == ("canary", ["canary"])
    assert told.expires_at.ToSeconds() - told.issued_at.ToSeconds() == 60
    assert minted.expires_at.ToSeconds() == told.expires_at.ToSeconds()
    assert (list(told.roles), told.username, told.user_number) == ([], "", 0)
    assert await verdicts_of_every_guarded_method(service, minted.token) == {("PERMISSION_DENIED", "PERMISSION_DENIED")}

    log = audit_pb2_grpc.AuditServiceStub(service.channel)
    request = audit_pb2.ListAuditEventsRequest(type="signing_key.canary_minted")
    (event,) = (await log.ListAuditEvents(request, metadata=admin)).events
    assert dict(event.details) == {"kid": standby.kid}
    assert event.actor_id


async def verdicts_of_every_guarded_method(service: Service, token: str) -> set[tuple[str, str]]:
    """How calls with `token` end, of all methods that are not for everybody."""
    verdicts = set()
    methods = [method for file in OUR_FILES for each in file.services_by_name.values() for method in each.methods]
    for method in methods:
        path = f"/{method.containing_service.full_name}/{method.name}"
        if PERMISSIONS[path].is_public:
            continue
        if method.server_streaming:
            method_of: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = service.channel.unary_stream(path)
            stream = method_of(b"", metadata=bearer(token))
            verdicts.add((await refusal(anext(aiter(stream)))).verdict)
        else:
            verdicts.add((await refusal(service.raw(path)(b"", metadata=bearer(token)))).verdict)
    return verdicts


async def test_no_canary_without_a_lease_to_sign(start: Start) -> None:
    # The token comes from a replica whose lease does not run out on a busy machine.
    admin = bearer(await admin_token(await start()))
    service = await start(signer_lease="200ms", poll_every="50ms")
    await service.sql(sa.text("ALTER TABLE key_ring RENAME TO key_ring_gone"))

    async def is_refused() -> bool:
        try:
            await service.keys.MintCanary(keys_pb2.MintCanaryRequest(), metadata=admin)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
        return False

    await eventually(is_refused)


@pytest.mark.row("E17", "S24")
async def test_after_a_rollback_the_former_key_signs_and_nothing_that_was_signed_is_refused(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    nothing = await refusal(service.keys.RollbackSigningKey(keys_pb2.RollbackSigningKeyRequest(), metadata=admin))
    assert nothing.verdict == ("FAILED_PRECONDITION", "KEY_STATE")
    before = await service.login()
    rotated = await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
    between = await service.login()
    stale = keys_pb2.RollbackSigningKeyRequest(ring_version=rotated.ring_version - 1)
    refused = await refusal(service.keys.RollbackSigningKey(stale, metadata=admin))
    assert refused.verdict == ("ABORTED", "RING_CHANGED")

    back = await service.keys.RollbackSigningKey(
        keys_pb2.RollbackSigningKeyRequest(ring_version=rotated.ring_version), metadata=admin
    )

    after = await service.login()
    kids = [(await service.verify(each.access_token)).key_id for each in (before, between, after)]
    assert kids == [rotated.demoted.kid, rotated.active.kid, rotated.demoted.kid]
    assert (back.active.kid, back.demoted.kid, back.standby.kid) == (kids[0], kids[1], rotated.standby.kid)
    assert back.active.private_half_held
    assert back.demoted.verifies_until.ToSeconds() > back.demoted.demoted_at.ToSeconds() + 600
    assert back.ring_version == rotated.ring_version + 1

    # A rollback to a key that leaked would undo its revocation.
    await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kids[1]), metadata=admin)
    revoked = await refusal(service.keys.RollbackSigningKey(keys_pb2.RollbackSigningKeyRequest(), metadata=admin))
    assert revoked.verdict == ("FAILED_PRECONDITION", "KEY_STATE")
    assert kids[1] in revoked.message

    log = audit_pb2_grpc.AuditServiceStub(service.channel)
    request = audit_pb2.ListAuditEventsRequest(type="signing_key.rolled_back")
    (event,) = (await log.ListAuditEvents(request, metadata=admin)).events
    assert dict(event.details) == {"kid": kids[0], "demoted_kid": kids[1]}


@pytest.mark.row("S27")
async def test_a_revocation_says_until_when_its_tokens_live_and_who_still_trusts_it(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    pair = await service.login()
    kid = (await service.verify(pair.access_token)).key_id
    await fetch(service, X_Consumer_Name="edge")
    assert len(await listed(service, admin)) == 1
    await service.sql(of_a_while(timedelta(minutes=1)))

    done = await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin)

    assert [(each.name, each.ring_version, each.recent) for each in done.consumers_behind] == [("edge", 1, True)]
    assert done.consumers_behind[0].interval.ToSeconds() == 600
    assert not done.consumers_unknown
    # A replica may have signed with it for a lease, and what it signed lives for ten minutes.
    assert done.tokens_until.ToSeconds() - done.revoked.withdrawn_at.ToSeconds() == 660
    # Nobody signs in again: the session goes on with a token of another key.
    assert (await refusal(service.verify(pair.access_token))).reason == "TOKEN_REVOKED"
    fresh = await service.refresh(pair.refresh_token)
    assert (await service.verify(fresh.access_token)).key_id == done.active.kid

    admin = bearer(await admin_token(service))
    await fetch(service, X_Consumer_Name="edge")
    again = await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin)
    assert not again.consumers_behind
    standby = await service.keys.RevokeSigningKey(
        keys_pb2.RevokeSigningKeyRequest(kid=(await service.jwks())[-1]["kid"]), metadata=admin
    )
    assert not standby.HasField("tokens_until")


async def test_a_replica_that_stops_tells_what_it_saw(databases: Databases, facility: Facility, tmp_path: Path) -> None:
    for kind in ("sqlite", "postgresql"):
        url = await databases.make(kind)
        # It tells every 20 polls, and so not while this test lasts.
        async with running_service(url, facility=facility, data_dir=tmp_path, poll_every="10s") as service:
            await fetch(service, X_Consumer_Name="edge")

        async with running_service(url, facility=facility, data_dir=tmp_path) as service:
            found = await listed(service, bearer(await admin_token(service)))
            assert [(each.name, each.times) for each in found] == [("edge", 1)]
