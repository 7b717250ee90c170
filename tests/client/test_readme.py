"""The examples of the README are run as they stand, but for addresses, and with one statement more at their end."""

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import auth_client
import grpc
import grpc.aio
import pytest
from auth_api.v1 import auth_pb2_grpc
from fastapi import Depends, FastAPI
from google.protobuf.wrappers_pb2 import StringValue
from grpclib.const import Cardinality, Handler
from grpclib.server import Server
from prometheus_client import CollectorRegistry, Counter, Gauge

from tests.client.jwks_endpoint import JwksEndpoint
from tests.client.minting import AUDIENCE, ISSUER, token
from tests.client.test_auth_client import Facility
from tests.client.test_web import greeting

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"
LIST = "/facility.v1.Scans/List"
AUTH, SCANS = '"auth.facility.example:443"', '"scans.facility.example:443"'
GOOD = {"exp": 4_000_000_000, "iat": 1}


def example(saying: str) -> str:
    """The one example that holds this text."""
    (found,) = (each for each in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if saying in each)
    return str(found)


async def run(code: str, last: str, names: dict[str, Any]) -> Any:
    """What `last` gives, said at the end of `code` and as deep in it."""
    deepest = re.findall(r"^ *", code.rstrip().splitlines()[-1])[0]
    lines = "\n".join(f"    {line}" for line in f"{code}{deepest}return {last}".splitlines())
    exec(f"async def example():\n{lines}", names)
    return await names["example"]()


async def knows_its_callers(port: int) -> bool:
    """Whether the server there lets a person in, and nobody without a token."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        listed = channel.unary_unary(LIST, StringValue.SerializeToString, StringValue.FromString)
        reply: StringValue = await listed(StringValue(), metadata=(("authorization", f"Bearer {token(**GOOD)}"),))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await listed(StringValue())
    return reply.value == "ada" and refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


class Scans:
    """For grpclib."""

    async def list(self, stream: Any) -> None:
        await stream.recv_message()
        await stream.send_message(StringValue(value=auth_client.caller().username))

    def __mapping__(self) -> dict[str, Handler]:
        return {LIST: Handler(self.list, Cardinality.UNARY_UNARY, StringValue, StringValue)}


def handlers(answer: Any) -> grpc.GenericRpcHandler:
    method = grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )
    return grpc.method_handlers_generic_handler("facility.v1.Scans", {"List": method})


@pytest.fixture
async def names() -> AsyncIterator[dict[str, Any]]:
    """What the examples take for granted, with the rights of the README."""
    async with JwksEndpoint() as endpoint:
        names: dict[str, Any] = {
            **{name: getattr(auth_client, name) for name in auth_client.__all__},
            "Annotated": Annotated,
            "Depends": Depends,
            "FastAPI": FastAPI,
            "any_asgi_app": greeting,
            "grpc": grpc,
            "Server": Server,
            "Scans": Scans,
            "ThreadPoolExecutor": ThreadPoolExecutor,
            "JWKS_URL": endpoint.url,
            "ISSUER": ISSUER,
            "AUDIENCE": AUDIENCE,
            "PASSWORD": "right",
        }
        exec(example("RIGHTS = "), names)
        yield names


async def test_it_verifies_a_token(names: dict[str, Any]) -> None:
    code = example("await verifier.verify(token)").replace(f"{ISSUER}/.well-known/jwks.json", names["JWKS_URL"])
    code = code.replace("    except", "        return person\n    except")

    person = await run(code, "None", names | {"token": token(**GOOD)})

    assert person.username == "ada"


async def test_it_feeds_prometheus(names: dict[str, Any]) -> None:
    registry = CollectorRegistry()
    metrics = {kind.__name__: partial(kind, registry=registry) for kind in (Counter, Gauge)}
    code = example("set_function") + "async with keys:\n    await verifier.verify(token)\n"

    await run(code, "None", names | metrics | {"token": token(**GOOD)})

    assert registry.get_sample_value("auth_verdicts_total", {"reason": "good"}) == 1
    assert registry.get_sample_value("auth_fetches_total", {"is_good": "True"}) == 1
    age = registry.get_sample_value("auth_keys_age_seconds")
    assert age is not None
    assert age < 60


async def test_it_guards_a_server_of_grpc_aio(names: dict[str, Any]) -> None:
    async def check(server: grpc.aio.Server) -> bool:
        async def answer(_request: object, _context: object) -> StringValue:
            return StringValue(value=auth_client.caller().username)

        server.add_generic_rpc_handlers((handlers(answer),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        knows = await knows_its_callers(port)
        await server.stop(None)
        return knows

    assert await run(example("from auth_client.aio import Guard"), "await check(server)", names | {"check": check})


async def test_it_guards_a_server_of_threads(names: dict[str, Any]) -> None:
    async def check(server: grpc.Server) -> bool:
        server.add_generic_rpc_handlers(
            (handlers(lambda _request, _context: StringValue(value=auth_client.caller().username)),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        knows = await knows_its_callers(port)
        server.stop(None).wait()
        return knows

    code = example("from auth_client.sync import BlockingVerifier")

    # In a thread, because the example blocks while it fetches the keys, which this loop serves.
    assert await asyncio.to_thread(asyncio.run, run(code, "await check(server)", names | {"check": check}))


async def test_it_guards_a_server_of_grpclib(names: dict[str, Any]) -> None:
    async def check(server: Server) -> bool:
        await server.start("127.0.0.1", 0)
        listening: Any = server._server
        knows = await knows_its_callers(listening.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
        return knows

    assert await run(example("from auth_client.grpclib import Guard"), "await check(server)", names | {"check": check})


async def test_it_guards_what_speaks_http(names: dict[str, Any]) -> None:
    code = example("from auth_client.asgi import Guard")
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    exec(code, names)
    for app, path in ((names["guarded"], "/"), (names["app"], "/scans")):
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
        await app(scope, _nothing, send)

    assert [each["status"] for each in answers if "status" in each] == [401, 401]


async def test_it_obeys_a_policy(names: dict[str, Any], tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"rules": [{"public": true, "locations": ["/open"]}]}')
    code = example("PolicyGuard(").replace("policy.json", str(policy))
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    exec(code, names)
    for path in ("/open", "/closed"):
        await names["guarded"]({"type": "http", "method": "GET", "path": path, "headers": []}, _nothing, send)

    assert [each["status"] for each in answers if "status" in each] == [200, 401]


async def test_it_calls_others_signed_in(names: dict[str, Any]) -> None:
    seen: list[Any] = []

    async def answer(_request: object, context: Any) -> StringValue:
        seen.extend(value for key, value in context.invocation_metadata() if key == "authorization")
        return StringValue()

    class ScansStub:
        def __init__(self, channel: Any) -> None:
            self.List = channel.unary_unary(LIST, StringValue.SerializeToString, StringValue.FromString)

    server = grpc.aio.server(handlers=[handlers(answer)])
    auth_pb2_grpc.add_AuthServiceServicer_to_server(Facility(), server)
    here = f'"127.0.0.1:{server.add_insecure_port("127.0.0.1:0")}", plaintext=True'
    await server.start()
    code = example("ScansStub(channel)").replace(AUTH, here).replace(SCANS, here)

    await run(code, "None", names | {"ScansStub": ScansStub, "ListRequest": StringValue})
    pair = await run(example("await auth.login").replace(AUTH, here), "pair", names)
    await server.stop(None)

    assert seen == ["Bearer access of ada"]
    assert pair.refresh_token == "rt1.first.next"


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
