"""Each call to the service, the same on every stack: what is sent, what comes back, how long and how often to try.

Nothing here does I/O. A stack sends `Call.request` to `Call.path`, and asks `pause` what to do about a failure.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Generic, TypeVar

from auth_api.v1 import auth_pb2
from google.protobuf.message import Message

from .answers import CheckedToken, Experiment, ServerInfo, ServiceToken, TokenPair
from .errors import AuthError, Code
from .keys import KeySet

_Answer = TypeVar("_Answer")
Metadata = tuple[tuple[str, str], ...]

SERVICE = "auth_api.v1.AuthService"
_JWK_MEMBERS = ("kty", "use", "alg", "kid", "n", "e")
CHANNEL_OPTIONS: tuple[tuple[str, str | int], ...] = (
    # The server counts pings closer than 60 s as abuse, so stay well clear of that.
    ("grpc.keepalive_time_ms", 90_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # The answer to a ping is waited for by a time of its own, of a minute unless it is set.
    ("grpc.http2.ping_timeout_ms", 20_000),
    # Also between calls: those who call now and then would meet a dead connection again and again.
    ("grpc.keepalive_permit_without_calls", 1),
)
"""For both of grpcio's stacks. They follow those of the caller: of an option that comes twice gRPC takes the first."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`deadline` is for all attempts together."""

    deadline: timedelta = timedelta(seconds=5)
    attempts: int = 4


POLICIES: Mapping[str, Policy] = {
    # A password may wait for its turn to be hashed, and a wrong one counts: it is never sent twice.
    "Login": Policy(deadline=timedelta(seconds=10), attempts=1),
    "LoginService": Policy(),
    # Repeating it because the answer was lost gives the same answer, but only within seconds: so at once, or never.
    "Refresh": Policy(),
    "Logout": Policy(),
    "Verify": Policy(),
    "ListExperiments": Policy(),
    "GetJwks": Policy(),
    "GetServerInfo": Policy(),
}
"""By the names of the methods."""


@dataclass(frozen=True, slots=True)
class Call(Generic[_Answer]):
    method: str
    request: Message
    reply: type[Message]
    unpack: Callable[[Any], _Answer]
    metadata: Metadata = ()

    @property
    def path(self) -> str:
        return f"/{SERVICE}/{self.method}"

    @property
    def deadline(self) -> timedelta:
        return POLICIES[self.method].deadline


def pause(call: Call[Any], error: AuthError, *, attempt: int, left: float) -> float | None:
    """Seconds to wait before sending `call` again, or None if there is no point: `error` is the outcome.

    `attempt` counts from 1; `left` is what remains of the deadline, in seconds. Where the service says how long to
    wait, nothing shorter is tried.
    """
    if error.code is not Code.UNAVAILABLE or attempt >= POLICIES[call.method].attempts:
        return None
    if error.retry_after is not None:
        wait = error.retry_after.total_seconds()
    else:
        wait = min(0.1 * 2 ** (attempt - 1), 1) * random.uniform(0.8, 1.2)  # noqa: S311 - Spread, not secrecy.
    return wait if wait < left else None


def closed() -> AuthError:
    """For a call whose client was closed meanwhile."""
    return AuthError(Code.CANCELLED, "", "the client was closed")


def login(username: str, password: str, *, new_password: str) -> Call[TokenPair]:
    request = auth_pb2.LoginRequest(username=username, password=password, new_password=new_password)
    return Call("Login", request, auth_pb2.LoginResponse, _token_pair)


def login_service(api_key: str) -> Call[ServiceToken]:
    request = auth_pb2.LoginServiceRequest(api_key=api_key)
    return Call("LoginService", request, auth_pb2.LoginServiceResponse, _service_token)


def refresh(refresh_token: str) -> Call[TokenPair]:
    request = auth_pb2.RefreshRequest(refresh_token=refresh_token)
    return Call("Refresh", request, auth_pb2.RefreshResponse, _token_pair)


def logout(refresh_token: str) -> Call[None]:
    request = auth_pb2.LogoutRequest(refresh_token=refresh_token)
    return Call("Logout", request, auth_pb2.LogoutResponse, lambda _: None)


def verify(token: str) -> Call[CheckedToken]:
    return Call("Verify", auth_pb2.VerifyRequest(token=token), auth_pb2.VerifyResponse, _checked_token)


@dataclass(frozen=True, slots=True)
class Page:
    experiments: tuple[Experiment, ...]
    next_page_token: str


def experiments_page(user_number: int, *, credential: str, page_size: int, page_token: str) -> Call[Page]:
    request = auth_pb2.ListExperimentsRequest(user_number=user_number, page_size=page_size, page_token=page_token)
    metadata = (("authorization", f"Bearer {credential}"),)
    return Call("ListExperiments", request, auth_pb2.ListExperimentsResponse, _page, metadata)


def get_jwks() -> Call[KeySet]:
    return Call("GetJwks", auth_pb2.GetJwksRequest(), auth_pb2.GetJwksResponse, _key_set)


def get_server_info() -> Call[ServerInfo]:
    return Call("GetServerInfo", auth_pb2.GetServerInfoRequest(), auth_pb2.GetServerInfoResponse, _server_info)


def key_set(keys: Iterable[auth_pb2.JsonWebKey], *, ring_version: int, revoked_kids: Iterable[str] = ()) -> KeySet:
    """Under the same rules as one fetched over HTTP; its version is the key ring's."""
    document = {"keys": [{member: getattr(key, member) for member in _JWK_MEMBERS} for key in keys]}
    return KeySet.from_jwks(document, version=str(ring_version), revoked=frozenset(revoked_kids))


def _token_pair(reply: auth_pb2.LoginResponse | auth_pb2.RefreshResponse) -> TokenPair:
    return TokenPair(
        access_token=reply.access_token,
        refresh_token=reply.refresh_token,
        expires_in=reply.expires_in.ToTimedelta(),
        refresh_expires_in=reply.refresh_expires_in.ToTimedelta(),
        session_id=reply.session_id,
    )


def _service_token(reply: auth_pb2.LoginServiceResponse) -> ServiceToken:
    return ServiceToken(access_token=reply.access_token, expires_in=reply.expires_in.ToTimedelta())


def _checked_token(reply: auth_pb2.VerifyResponse) -> CheckedToken:
    return CheckedToken(
        subject=reply.subject,
        session_id=reply.session_id,
        issuer=reply.issuer,
        audience=tuple(reply.audience),
        roles=tuple(reply.roles),
        scopes=tuple(reply.scopes),
        user_number=reply.user_number if reply.HasField("user_number") else None,
        username=reply.username,
        client_id=reply.client_id,
        key_id=reply.key_id,
        issued_at=reply.issued_at.ToDatetime(tzinfo=UTC),
        expires_at=reply.expires_at.ToDatetime(tzinfo=UTC),
    )


def _page(reply: auth_pb2.ListExperimentsResponse) -> Page:
    return Page(tuple(Experiment(each.rb_number) for each in reply.experiments), reply.next_page_token)


def _key_set(reply: auth_pb2.GetJwksResponse) -> KeySet:
    return key_set(reply.keys, ring_version=reply.ring_version)


def _server_info(reply: auth_pb2.GetServerInfoResponse) -> ServerInfo:
    return ServerInfo(name=reply.name, version=reply.version, build=reply.build, issuer=reply.issuer)
