"""Calling auth-service over grpc.aio. Needs the extra `auth-client[grpc]`."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypeAlias, TypeVar

import grpc.aio
from auth_api.v1 import auth_pb2, auth_pb2_grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from .errors import AuthClientError
from .keys import KeySet

_SERVICE = "auth_api.v1.AuthService"
# Reads may be sent again when the server was not there. Login and Refresh are not: their caller decides.
_RETRY = {
    "methodConfig": [
        {
            "name": [
                {"service": _SERVICE, "method": method}
                for method in ("Verify", "ListExperiments", "GetJwks", "GetServerInfo")
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_CHANNEL_OPTIONS = (
    ("grpc.service_config", json.dumps(_RETRY)),
    # The server counts pings closer than 60 s as abuse, so stay well clear of that.
    ("grpc.keepalive_time_ms", 90_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
)


class AuthError(AuthClientError):
    """The service refused a call, or could not be reached.

    `reason` is one of auth_api.v1.ErrorReason without its prefix, or empty where the service did not get to answer.
    `field_violations` maps a field to what was expected of it.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        retry_after: timedelta | None = None,
        field_violations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{reason or code.name}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.field_violations = dict(field_violations or {})


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a session holds. Both tokens are secrets, so neither shows in the repr."""

    access_token: str
    refresh_token: str
    expires_in: timedelta
    refresh_expires_in: timedelta
    session_id: str

    def __repr__(self) -> str:
        return f"TokenPair(session_id={self.session_id!r}, expires_in={self.expires_in})"


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """What the service says of an access token. `TokenVerifier` says the same without a call."""

    subject: str
    session_id: str
    issuer: str
    audience: tuple[str, ...]
    roles: tuple[str, ...]
    user_number: int | None
    username: str
    key_id: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Experiment:
    rb_number: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    name: str
    version: str
    build: str
    issuer: str


_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")
_Method: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[_Request, _Reply]


class AuthClient:
    """One channel to the service; share it. Every method raises AuthError and ends by `deadline`.

    Without `credentials` (see grpc.ssl_channel_credentials) the channel is plain text.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        deadline: timedelta = timedelta(seconds=5),
        options: tuple[tuple[str, str | int], ...] = (),
    ) -> None:
        arguments = (*_CHANNEL_OPTIONS, *options)
        self._channel = (
            grpc.aio.insecure_channel(target, options=arguments)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=arguments)
        )
        self._stub = auth_pb2_grpc.AuthServiceStub(self._channel)
        self._deadline = deadline.total_seconds()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def login(self, username: str, password: str) -> TokenPair:
        request = auth_pb2.LoginRequest(username=username, password=password)
        reply = await self._call(self._stub.Login, request)
        return _token_pair(reply)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend `refresh_token`. If the answer was lost, repeating the call within seconds gives the same answer."""
        request = auth_pb2.RefreshRequest(refresh_token=refresh_token)
        reply = await self._call(self._stub.Refresh, request)
        return _token_pair(reply)

    async def logout(self, refresh_token: str) -> None:
        """End the session. Fine to repeat."""
        await self._call(self._stub.Logout, auth_pb2.LogoutRequest(refresh_token=refresh_token))

    async def verify(self, token: str) -> CheckedToken:
        """Ask the service about an access token, which also knows of sessions that ended a moment ago."""
        reply = await self._call(self._stub.Verify, auth_pb2.VerifyRequest(token=token))
        return CheckedToken(
            subject=reply.subject,
            session_id=reply.session_id,
            issuer=reply.issuer,
            audience=tuple(reply.audience),
            roles=tuple(reply.roles),
            user_number=reply.user_number if reply.HasField("user_number") else None,
            username=reply.username,
            key_id=reply.key_id,
            issued_at=reply.issued_at.ToDatetime(tzinfo=UTC),
            expires_at=reply.expires_at.ToDatetime(tzinfo=UTC),
        )

    async def list_experiments(
        self, user_number: int, *, credential: str, page_size: int = 0
    ) -> AsyncIterator[Experiment]:
        """The person's experiments in ascending order, fetched page by page while you iterate.

        `credential` is an access token or an API key. Each page has its own deadline.
        """
        request = auth_pb2.ListExperimentsRequest(user_number=user_number, page_size=page_size)
        metadata = (("authorization", f"Bearer {credential}"),)
        while True:
            page = await self._call(self._stub.ListExperiments, request, metadata)
            for experiment in page.experiments:
                yield Experiment(rb_number=experiment.rb_number)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_jwks(self) -> KeySet:
        """The key set, under the same rules as one fetched over HTTP; its version is the key ring's."""
        reply = await self._call(self._stub.GetJwks, auth_pb2.GetJwksRequest())
        members = ("kty", "use", "alg", "kid", "n", "e")
        document = {"keys": [{member: getattr(key, member) for member in members} for key in reply.keys]}
        return KeySet.from_jwks(document, version=str(reply.ring_version))

    async def get_server_info(self) -> ServerInfo:
        reply = await self._call(self._stub.GetServerInfo, auth_pb2.GetServerInfoRequest())
        return ServerInfo(name=reply.name, version=reply.version, build=reply.build, issuer=reply.issuer)

    async def _call(
        self, method: _Method[_Request, _Reply], request: _Request, metadata: tuple[tuple[str, str], ...] = ()
    ) -> _Reply:
        try:
            return await method(request, timeout=self._deadline, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise _auth_error(error) from error


def _token_pair(reply: auth_pb2.LoginResponse | auth_pb2.RefreshResponse) -> TokenPair:
    return TokenPair(
        access_token=reply.access_token,
        refresh_token=reply.refresh_token,
        expires_in=reply.expires_in.ToTimedelta(),
        refresh_expires_in=reply.refresh_expires_in.ToTimedelta(),
        session_id=reply.session_id,
    )


def _auth_error(error: grpc.aio.AioRpcError) -> AuthError:
    """The error with what google.rpc details say. A proxy's error has none, and broken ones are as good as none."""
    info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
                for detail in status.details:
                    # Each takes only the detail that is its own.
                    any(detail.Unpack(message) for message in (info, retry, bad))
            except DecodeError:
                continue
    return AuthError(
        error.code(),
        info.reason,
        error.details() or "",
        retry_after=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
        field_violations={violation.field: violation.description for violation in bad.field_violations},
    )
