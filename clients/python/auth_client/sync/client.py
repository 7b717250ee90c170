"""Calling the service over grpcio, from threads."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from time import monotonic, sleep
from typing import Self, TypeVar, cast

import grpc

from .. import calls
from ..answers import CheckedToken, Experiment, ServerInfo, ServiceToken, TokenPair
from ..details import auth_error
from ..errors import AuthError, Code
from ..keys import KeySet

_Answer = TypeVar("_Answer")
Options = tuple[tuple[str, str | int], ...]


class AuthClient:
    """One channel to the service; share it between threads. Every method raises AuthError.

    Over TLS, with the roots that gRPC brings unless `credentials` says otherwise; `plaintext=True` is for where nobody
    listens. `deadline` replaces each method's own.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        deadline: timedelta | None = None,
        options: Options = (),
    ) -> None:
        self._channel = open_channel(
            target, credentials=credentials, plaintext=plaintext, options=(*options, *calls.CHANNEL_OPTIONS)
        )
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def login(self, username: str, password: str, *, new_password: str = "") -> TokenPair:
        """Sign a person in, and change their password if there is a new one. Never sent twice."""
        return self._call(calls.login(username, password, new_password=new_password))

    def login_service(self, api_key: str) -> ServiceToken:
        """A short access token for a service. There is nothing to refresh: the key buys the next one."""
        return self._call(calls.login_service(api_key))

    def refresh(self, refresh_token: str) -> TokenPair:
        """Spend `refresh_token`. If the answer was lost, repeating the call within seconds gives the same answer."""
        return self._call(calls.refresh(refresh_token))

    def logout(self, refresh_token: str) -> None:
        """End the session. Fine to repeat."""
        self._call(calls.logout(refresh_token))

    def verify(self, token: str) -> CheckedToken:
        """Ask the service about an access token, which also knows of sessions that ended a moment ago."""
        return self._call(calls.verify(token))

    def list_experiments(self, user_number: int, *, credential: str, page_size: int = 0) -> Iterator[Experiment]:
        """The person's experiments in ascending order, fetched page by page while you iterate.

        `credential` is an access token or an API key. Each page has its own deadline.
        """
        page_token = ""
        while True:
            page = self._call(
                calls.experiments_page(user_number, credential=credential, page_size=page_size, page_token=page_token)
            )
            yield from page.experiments
            page_token = page.next_page_token
            if not page_token:
                return

    def get_jwks(self) -> KeySet:
        return self._call(calls.get_jwks())

    def get_server_info(self) -> ServerInfo:
        return self._call(calls.get_server_info())

    def _call(self, call: calls.Call[_Answer]) -> _Answer:
        send = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.reply.FromString,
        )
        ends = monotonic() + (self._deadline or call.deadline).total_seconds()
        for attempt in count(1):
            try:
                return call.unpack(send(call.request, timeout=ends - monotonic(), metadata=call.metadata))
            except grpc.RpcError as error:
                # What a call raises is the call itself.
                failure = error_from(cast("grpc.Call", error))
                wait = calls.pause(call, failure, attempt=attempt, left=ends - monotonic())
                if wait is None:
                    raise failure from error
            sleep(wait)
        raise AssertionError("unreachable")


def open_channel(
    target: str, *, credentials: grpc.ChannelCredentials | None, plaintext: bool, options: Options
) -> grpc.Channel:
    if not plaintext:
        return grpc.secure_channel(target, credentials or grpc.ssl_channel_credentials(), options=options)
    if credentials is not None:
        raise ValueError("expected either credentials or plaintext, not both")
    return grpc.insecure_channel(target, options=options)


def error_from(call: grpc.Call) -> AuthError:
    """How `call` ended; good ones with Code.OK. Waits until it has."""
    return auth_error(Code(call.code().value[0]), call.details() or "", call.trailing_metadata() or ())
