"""`auth_api.v1.AuthService`: messages to plain values, one use case, values to messages."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from auth_api.v1 import auth_pb2, auth_pb2_grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.consumers import ConsumerKind
from auth_service.rpc.call import Context, consumer, origin
from auth_service.usecases.experiments import ListExperiments
from auth_service.usecases.issuing import TokenPair
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.old_tokens import OldToken
from auth_service.usecases.service_sign_in import ServiceSignIn
from auth_service.usecases.sessions import Sessions
from auth_service.usecases.sign_in import SignIn
from auth_service.usecases.signing import SigningKeys
from auth_service.usecases.verification import Verification

TOKEN_TYPE = "Bearer"  # noqa: S105 -- the name of a kind


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What GetServerInfo tells."""

    name: str
    version: str
    build: str
    issuer: str


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    def __init__(
        self,
        *,
        sign_in: SignIn,
        service_sign_in: ServiceSignIn,
        sessions: Sessions,
        verification: Verification,
        experiments: ListExperiments,
        keys: SigningKeys,
        consumers: KeyConsumers,
        server_info: ServerInfo,
    ) -> None:
        self._sign_in = sign_in
        self._service_sign_in = service_sign_in
        self._sessions = sessions
        self._verification = verification
        self._experiments = experiments
        self._keys = keys
        self._consumers = consumers
        self._server_info = server_info

    async def Login(self, request: auth_pb2.LoginRequest, context: Context) -> auth_pb2.LoginResponse:
        pair = await self._sign_in.login(
            username=request.username,
            password=request.password,
            new_password=request.new_password,
            origin=origin(),
        )
        return auth_pb2.LoginResponse(**_fields(pair))

    async def LoginService(
        self, request: auth_pb2.LoginServiceRequest, context: Context
    ) -> auth_pb2.LoginServiceResponse:
        token = await self._service_sign_in.login(request.api_key, origin=origin())
        return auth_pb2.LoginServiceResponse(
            access_token=token.access_token,
            token_type=TOKEN_TYPE,
            expires_in=_whole_seconds(token.expires_in),
        )

    async def Verify(self, request: auth_pb2.VerifyRequest, context: Context) -> auth_pb2.VerifyResponse:
        token = self._verification.judge(request.token)
        if isinstance(token, OldToken):
            return auth_pb2.VerifyResponse(
                expires_at=Timestamp(seconds=int(token.expires_at.timestamp())),
                roles=[token.role],
                user_number=token.user_number,
                username=token.username,
            )
        return auth_pb2.VerifyResponse(
            subject=token.subject,
            session_id=token.session_id,
            issued_at=Timestamp(seconds=int(token.iat)),
            expires_at=Timestamp(seconds=int(token.exp)),
            issuer=token.issuer,
            audience=token.audience,
            roles=token.roles,
            user_number=token.user_number,
            username=token.username,
            key_id=token.key_id,
            scopes=token.scopes,
            client_id=token.client_id,
        )

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: Context) -> auth_pb2.RefreshResponse:
        pair = await self._sessions.refresh(request.refresh_token, origin=origin())
        return auth_pb2.RefreshResponse(**_fields(pair))

    async def Logout(self, request: auth_pb2.LogoutRequest, context: Context) -> auth_pb2.LogoutResponse:
        await self._sessions.logout(request.refresh_token, origin=origin())
        return auth_pb2.LogoutResponse()

    async def ListExperiments(
        self, request: auth_pb2.ListExperimentsRequest, context: Context
    ) -> auth_pb2.ListExperimentsResponse:
        page = await self._experiments.page(
            user_number=request.user_number, size=request.page_size, page_token=request.page_token
        )
        return auth_pb2.ListExperimentsResponse(
            experiments=[auth_pb2.Experiment(rb_number=number) for number in page.rb_numbers],
            next_page_token=page.next_page_token,
        )

    async def GetJwks(self, request: auth_pb2.GetJwksRequest, context: Context) -> auth_pb2.GetJwksResponse:
        published = self._keys.published()
        self._consumers.seen(consumer(ConsumerKind.GRPC, context), published)
        return auth_pb2.GetJwksResponse(
            keys=[auth_pb2.JsonWebKey(**key.jwk()) for key in published.keys], ring_version=published.version
        )

    async def GetServerInfo(
        self, request: auth_pb2.GetServerInfoRequest, context: Context
    ) -> auth_pb2.GetServerInfoResponse:
        info = self._server_info
        return auth_pb2.GetServerInfoResponse(
            name=info.name, version=info.version, build=info.build, issuer=info.issuer
        )


class _PairFields(TypedDict):
    """The fields that LoginResponse and RefreshResponse share."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: Duration
    refresh_expires_in: Duration
    session_id: str


def _fields(pair: TokenPair) -> _PairFields:
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": TOKEN_TYPE,
        "expires_in": _whole_seconds(pair.expires_in),
        "refresh_expires_in": _whole_seconds(pair.refresh_expires_in),
        "session_id": str(pair.session_id),
    }


def _whole_seconds(lifetime: timedelta) -> Duration:
    return Duration(seconds=round(lifetime.total_seconds()))
