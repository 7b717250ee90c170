"""TLS on both doors: what it refuses, and renewal without a restart."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest
from auth_api.v1 import auth_pb2, auth_pb2_grpc
from cryptography import x509

from auth_service import app
from auth_service import settings as settings_module
from auth_service.web.connections import PATIENCE, Waits
from tests.support.certificates import Authority, Pair
from tests.support.service import Logs, environment


@dataclass
class Secured:
    where: app.Running
    authority: Authority
    pair: Pair
    certificate: Path
    key: Path

    async def serial(self, door: str) -> int:
        """Of the certificate that a new connection is shown."""
        address = self.where.grpc if door == "grpc" else self.where.http
        context = self.context()
        context.set_alpn_protocols(["h2"] if door == "grpc" else ["http/1.1"])
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(shown).serial_number

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.pem.decode())

    @asynccontextmanager
    async def channel(self, client: Pair | None = None) -> AsyncIterator[grpc.aio.Channel]:
        credentials = grpc.ssl_channel_credentials(
            self.authority.pem, *((client.key, client.certificate) if client else ())
        )
        async with grpc.aio.secure_channel(str(self.where.grpc), credentials) as channel:
            yield channel


@pytest.fixture
async def start(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured(sqlite_url, tmp_path) as running:
        yield running


@asynccontextmanager
async def secured(url: str, home: Path, *, client_authority: Authority | None = None) -> AsyncIterator[Secured]:
    authority, certificate, key, client_ca = Authority("us"), home / "tls.crt", home / "tls.key", home / "clients.crt"
    pair = authority.issue("first").write(certificate, key)
    files = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    if client_authority is not None:
        client_ca.write_bytes(client_authority.pem)
        files["tls_client_ca_file"] = str(client_ca)
    settings, _ = settings_module.load(environment(url, facility=None, data_dir=home, providers="local", **files))
    async with app.running(settings) as where:
        yield Secured(where, authority, pair, certificate, key)


async def info(channel: grpc.aio.Channel) -> str:
    stub: auth_pb2_grpc.AuthServiceAsyncStub = auth_pb2_grpc.AuthServiceStub(channel)
    return (await stub.GetServerInfo(auth_pb2.GetServerInfoRequest(), timeout=5)).name


@pytest.mark.row("S83")
@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_a_renewed_certificate_is_shown_to_the_next_connection(start: Secured, logs: Logs, door: str) -> None:
    assert await start.serial(door) == start.pair.serial
    logs.clear()

    renewed = start.authority.issue("second").write(start.certificate, start.key)

    assert await start.serial(door) == renewed.serial
    assert await start.serial(door) == renewed.serial
    assert len(logs.named("tls.certificate_reloaded", door=door)) == 1


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_a_half_replaced_pair_leaves_the_former_one_in_service(start: Secured, door: str) -> None:
    renewed = start.authority.issue("second")
    start.certificate.write_bytes(renewed.certificate)

    assert await start.serial(door) == start.pair.serial
    start.key.write_bytes(renewed.key)
    assert await start.serial(door) == renewed.serial


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_a_missing_file_leaves_the_former_pair_in_service(start: Secured, door: str) -> None:
    start.certificate.unlink()

    assert await start.serial(door) == start.pair.serial


@pytest.mark.row("S83")
async def test_calls_go_on_over_an_open_connection_while_the_certificate_changes(start: Secured) -> None:
    async with start.channel() as channel:
        assert await info(channel) == "auth-service"
        Authority("somebody else").issue("second").write(start.certificate, start.key)
        assert await info(channel) == "auth-service"


@pytest.mark.row("S83")
@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_nothing_older_than_tls_1_2_is_spoken(start: Secured, door: str) -> None:
    address = start.where.grpc if door == "grpc" else start.where.http
    context = start.context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(address.host, address.port, ssl=context)


async def test_plain_text_is_not_answered_where_tls_is_on(start: Secured) -> None:
    async with grpc.aio.insecure_channel(str(start.where.grpc)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await info(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://{start.where.http}/healthz")


@pytest.mark.row("S81")
async def test_a_handshake_that_does_not_come_is_not_waited_for(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATIENCE, Waits.REQUEST, 0.2)
    async with secured(sqlite_url, tmp_path) as running, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(running.where.http.host, running.where.http.port)

        assert await reader.read() == b""
        writer.close()


async def test_the_key_set_is_served_over_https(start: Secured) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"https://{start.where.http}/.well-known/jwks.json", ssl=start.context()) as answer,
    ):
        assert answer.status == 200
        assert len((await answer.json(content_type=None))["keys"]) == 2


async def test_with_a_client_authority_only_its_clients_are_answered(sqlite_url: str, tmp_path: Path) -> None:
    clients, strangers = Authority("clients"), Authority("strangers")

    async with secured(sqlite_url, tmp_path, client_authority=clients) as service:
        async with service.channel(clients.issue("portal")) as channel:
            assert await info(channel) == "auth-service"
        for pair in (None, strangers.issue("portal")):
            async with service.channel(pair) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await info(channel)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        # Verifiers that have nothing but HTTP still get the key set, which is public.
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"https://{service.where.http}/.well-known/jwks.json", ssl=service.context()) as answer,
        ):
            assert answer.status == 200
