"""One face for three stacks: clients, guarded servers, and a small service of another team to call.

What a stack raises becomes AuthError, by that stack's own reading of it, so that one test holds for all three.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio
from auth_client import Rights, TokenVerifier, aio, caller, grpclib, sync
from auth_client.aio.client import error_from as aio_error
from auth_client.grpclib.client import CALL_ERRORS
from auth_client.grpclib.client import error_from as grpclib_error
from auth_client.sync.client import error_from as sync_error
from google.protobuf.wrappers_pb2 import StringValue
from grpclib.client import (
    Channel,
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from grpclib.const import Cardinality, Handler
from grpclib.server import Server

from tests.support.conditions import eventually

STACKS = ("aio", "sync", "grpclib")
SAY, COUNT, JOIN, ECHO = (f"/facility.v1.Scans/{name}" for name in ("Say", "Count", "Join", "Echo"))
METHODS = (SAY, COUNT, JOIN, ECHO)
Metadata = tuple[tuple[str, str], ...]
_Value = TypeVar("_Value")


class Threaded:
    """A client of threads, awaited."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: object, **kwargs: object) -> Any:
            return await asyncio.to_thread(method, *args, **kwargs)

        async def pages(*args: object, **kwargs: object) -> AsyncIterator[Any]:
            for each in await asyncio.to_thread(lambda: list(method(*args, **kwargs))):
                yield each

        return pages if name == "list_experiments" else call


@asynccontextmanager
async def auth_client(stack: str, address: str, **options: Any) -> AsyncIterator[Any]:
    """An AuthClient of `stack`, as it is."""
    if stack == "sync":
        with sync.AuthClient(address, plaintext=True, **options) as client:
            yield client
        return
    kind = aio.AuthClient if stack == "aio" else grpclib.AuthClient
    async with kind(address, plaintext=True, **options) as client:
        yield client


def awaited(stack: str, inner: Any) -> Any:
    return Threaded(inner) if stack == "sync" else inner


@asynccontextmanager
async def session(stack: str, auth: Any, sign_in: Any, **options: Any) -> AsyncIterator[Any]:
    """A Session of `stack`, as it is."""
    if stack == "sync":
        yield sync.Session(auth, sign_in, **options)
        return
    kind = aio.Session if stack == "aio" else grpclib.Session
    async with kind(auth, sign_in, **options) as one:
        yield one


class Verifies(Protocol):
    async def verify(self, token: str, /) -> Any: ...


def _named(text: str) -> StringValue:
    return StringValue(value=f"{caller().username}: {text}")


class _Methods:
    """What the service of another team does: says who called, and what was said."""

    async def say(self, request: StringValue, _context: object) -> StringValue:
        return _named(request.value)

    async def count(self, request: StringValue, _context: object) -> AsyncIterator[StringValue]:
        for number in range(int(request.value)):
            yield _named(str(number))

    async def join(self, requests: AsyncIterator[StringValue], _context: object) -> StringValue:
        return _named(",".join([each.value async for each in requests]))

    async def echo(self, requests: AsyncIterator[StringValue], _context: object) -> AsyncIterator[StringValue]:
        async for each in requests:
            yield _named(each.value)


class _ThreadMethods:
    def say(self, request: StringValue, _context: object) -> StringValue:
        return _named(request.value)

    def count(self, request: StringValue, _context: object) -> Iterator[StringValue]:
        for number in range(int(request.value)):
            yield _named(str(number))

    def join(self, requests: Iterator[StringValue], _context: object) -> StringValue:
        return _named(",".join(each.value for each in requests))

    def echo(self, requests: Iterator[StringValue], _context: object) -> Iterator[StringValue]:
        for each in requests:
            yield _named(each.value)


class _StreamMethods:
    """The same for grpclib."""

    async def _say(self, stream: Any) -> None:
        await stream.send_message(_named((await stream.recv_message()).value))

    async def _count(self, stream: Any) -> None:
        for number in range(int((await stream.recv_message()).value)):
            await stream.send_message(_named(str(number)))

    async def _join(self, stream: Any) -> None:
        await stream.send_message(_named(",".join([each.value async for each in stream])))

    async def _echo(self, stream: Any) -> None:
        async for each in stream:
            await stream.send_message(_named(each.value))

    def __mapping__(self) -> dict[str, Handler]:
        return {
            SAY: Handler(self._say, Cardinality.UNARY_UNARY, StringValue, StringValue),
            COUNT: Handler(self._count, Cardinality.UNARY_STREAM, StringValue, StringValue),
            JOIN: Handler(self._join, Cardinality.STREAM_UNARY, StringValue, StringValue),
            ECHO: Handler(self._echo, Cardinality.STREAM_STREAM, StringValue, StringValue),
        }


class _Closing(Server):
    """Remembers its connections, because grpclib leaves these to the clients to close, and they take their time."""

    def __init__(self, methods: Any) -> None:
        super().__init__(methods)
        self.protocols: list[Any] = []

    def _protocol_factory(self) -> Any:
        protocol = super()._protocol_factory()
        self.protocols.append(protocol)
        return protocol


def _handlers(methods: Any) -> grpc.GenericRpcHandler:
    coding: dict[str, Any] = {
        "request_deserializer": StringValue.FromString,
        "response_serializer": StringValue.SerializeToString,
    }
    return grpc.method_handlers_generic_handler(
        "facility.v1.Scans",
        {
            "Say": grpc.unary_unary_rpc_method_handler(methods.say, **coding),
            "Count": grpc.unary_stream_rpc_method_handler(methods.count, **coding),
            "Join": grpc.stream_unary_rpc_method_handler(methods.join, **coding),
            "Echo": grpc.stream_stream_rpc_method_handler(methods.echo, **coding),
        },
    )


class _Blocking:
    """An async verifier for a guard of threads."""

    def __init__(self, verifier: Verifies, loop: asyncio.AbstractEventLoop) -> None:
        self._verifier = verifier
        self._loop = loop

    def verify(self, token: str) -> Any:
        return asyncio.run_coroutine_threadsafe(cast("Any", self._verifier.verify(token)), self._loop).result()


@asynccontextmanager
async def guarded_server(
    stack: str, verifier: Verifies, rights: Rights, *, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """A server of the other team's service, behind the Guard of `stack`; its address. TLS on grpc.aio only."""
    judge = cast("TokenVerifier", verifier)
    if stack == "aio":
        server = grpc.aio.server(interceptors=[aio.Guard(judge, rights)])
        server.add_generic_rpc_handlers((_handlers(_Methods()),))
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(None)
    elif stack == "sync":
        blocking = _Blocking(verifier, asyncio.get_running_loop())
        threads = ThreadPoolExecutor(8)
        threaded = grpc.server(threads, interceptors=[sync.Guard(blocking, rights)])
        threaded.add_generic_rpc_handlers((_handlers(_ThreadMethods()),))
        port = threaded.add_insecure_port("127.0.0.1:0")
        threaded.start()
        yield f"127.0.0.1:{port}"
        await asyncio.to_thread(threaded.stop(None).wait)
        threads.shutdown()
    else:
        other = _Closing([_StreamMethods()])
        grpclib.Guard(judge, rights).attach(other)
        await other.start("127.0.0.1", 0)
        # It says its port, and who is still connected, nowhere else.
        listening: Any = other._server
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        other.close()
        await other.wait_closed()
        for protocol in other.protocols:
            protocol.connection.close()
        await eventually(lambda: not listening._active_count)


class Scans(Protocol):
    """A client of the other team's service."""

    async def say(self, text: str, metadata: Metadata = (), timeout: float = 10) -> str: ...
    async def count(self, to: int, metadata: Metadata = ()) -> list[str]: ...
    async def join(self, texts: Sequence[str], metadata: Metadata = ()) -> str: ...
    async def echo(self, texts: Sequence[str], metadata: Metadata = ()) -> list[str]: ...


_CODING: dict[str, Any] = {
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": StringValue.FromString,
}


class AioScans:
    def __init__(self, channel: Any) -> None:
        self.channel = channel

    async def say(self, text: str, metadata: Metadata = (), timeout: float = 10) -> str:
        with _aio_errors():
            reply = await self.channel.unary_unary(SAY, **_CODING)(_value(text), metadata=metadata, timeout=timeout)
            return str(reply.value)

    async def count(self, to: int, metadata: Metadata = ()) -> list[str]:
        with _aio_errors():
            return [each.value async for each in self.counting(to, metadata)]

    def counting(self, to: int, metadata: Metadata = ()) -> Any:
        return self.channel.unary_stream(COUNT, **_CODING)(_value(str(to)), metadata=metadata, timeout=10)

    async def join(self, texts: Sequence[str], metadata: Metadata = ()) -> str:
        with _aio_errors():
            requests = map(_value, texts)
            reply = await self.channel.stream_unary(JOIN, **_CODING)(requests, metadata=metadata, timeout=10)
            return str(reply.value)

    async def echo(self, texts: Sequence[str], metadata: Metadata = ()) -> list[str]:
        with _aio_errors():
            return [each.value async for each in self.echoing(map(_value, texts), metadata)]

    def echoing(self, requests: Any = None, metadata: Metadata = ()) -> Any:
        return self.channel.stream_stream(ECHO, **_CODING)(requests, metadata=metadata, timeout=10)


class SyncScans:
    def __init__(self, channel: Any) -> None:
        self.channel = channel

    async def say(self, text: str, metadata: Metadata = (), timeout: float = 10) -> str:
        send = self.channel.unary_unary(SAY, **_CODING)
        return str((await _in_thread(lambda: send(_value(text), metadata=metadata, timeout=timeout))).value)

    async def count(self, to: int, metadata: Metadata = ()) -> list[str]:
        send = self.channel.unary_stream(COUNT, **_CODING)
        return await _in_thread(lambda: _values(send(_value(str(to)), metadata=metadata, timeout=10)))

    async def join(self, texts: Sequence[str], metadata: Metadata = ()) -> str:
        send = self.channel.stream_unary(JOIN, **_CODING)
        return str((await _in_thread(lambda: send(map(_value, texts), metadata=metadata, timeout=10))).value)

    async def echo(self, texts: Sequence[str], metadata: Metadata = ()) -> list[str]:
        send = self.channel.stream_stream(ECHO, **_CODING)
        return await _in_thread(lambda: _values(send(map(_value, texts), metadata=metadata, timeout=10)))


class GrpclibScans:
    """`call` is a session's, or makes the call as it is."""

    def __init__(self, channel: Channel, call: Callable[..., Awaitable[Any]] | None = None) -> None:
        self._channel = channel
        self._through = call or _plainly

    async def say(self, text: str, metadata: Metadata = (), timeout: float = 10) -> str:
        method = UnaryUnaryMethod(self._channel, SAY, StringValue, StringValue)
        return str((await self._call(method, _value(text), metadata, timeout)).value)

    async def count(self, to: int, metadata: Metadata = ()) -> list[str]:
        method = UnaryStreamMethod(self._channel, COUNT, StringValue, StringValue)
        return _values(await self._call(method, _value(str(to)), metadata))

    async def join(self, texts: Sequence[str], metadata: Metadata = ()) -> str:
        method = StreamUnaryMethod(self._channel, JOIN, StringValue, StringValue)
        return str((await self._call(method, list(map(_value, texts)), metadata)).value)

    async def echo(self, texts: Sequence[str], metadata: Metadata = ()) -> list[str]:
        method = StreamStreamMethod(self._channel, ECHO, StringValue, StringValue)
        return _values(await self._call(method, list(map(_value, texts)), metadata))

    async def _call(self, method: Any, request: object, metadata: Metadata, timeout: float = 10) -> Any:
        try:
            return await self._through(method, request, timeout=timeout, metadata=metadata)
        except CALL_ERRORS as error:
            raise grpclib_error(error) from error


@asynccontextmanager
async def scans(stack: str, address: str, session: Any = None) -> AsyncIterator[Scans]:
    """A client of `stack` for the other team's service, signed in by `session` if there is one."""
    if stack == "aio":
        opened = session.channel(address, plaintext=True) if session else grpc.aio.insecure_channel(address)
        async with opened as channel:
            yield AioScans(channel)
    elif stack == "sync":
        threaded = session.channel(address, plaintext=True) if session else grpc.insecure_channel(address)
        with threaded:
            yield SyncScans(threaded)
    else:
        host, _, port = address.rpartition(":")
        async with Channel(host, int(port)) as other:
            if session:
                session.attach(other, plaintext=True)
            yield GrpclibScans(other, session.call if session else None)


class _aio_errors:  # noqa: N801 # Reads as the statement that it is.
    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            raise aio_error(error) from error


async def _in_thread(call: Callable[[], _Value]) -> _Value:
    try:
        return await asyncio.to_thread(call)
    except grpc.RpcError as error:
        raise sync_error(cast("grpc.Call", error)) from error


async def _plainly(method: Any, request: object, **options: Any) -> Any:
    return await method(request, **options)


def _value(text: str) -> StringValue:
    return StringValue(value=text)


def _values(replies: Any) -> list[str]:
    return [each.value for each in replies]
