"""`auth_api.v1.UserService`, its first half: what people do about themselves."""

from auth_api.v1 import users_pb2

from auth_service.domain.accounts import AccountChanges
from auth_service.domain.identifiers import uuid_in
from auth_service.rpc.call import Context, current_session_id, origin
from auth_service.rpc.users_messages import session_message, user_message
from auth_service.rpc.wire import inside, paths_in
from auth_service.usecases import own_account as usecase
from auth_service.usecases.registration import Registration
from auth_service.usecases.session_lists import SessionLists


class OwnAccount:
    def __init__(
        self, *, registration: Registration, own_account: usecase.OwnAccount, session_lists: SessionLists
    ) -> None:
        self._registration = registration
        self._own_account = own_account
        self._session_lists = session_lists

    async def Register(self, request: users_pb2.RegisterRequest, context: Context) -> users_pb2.RegisterResponse:
        shown = await self._registration.register(
            username=request.username,
            password=request.password,
            email=request.email,
            display_name=request.display_name,
            origin=origin(),
        )
        return users_pb2.RegisterResponse(user=user_message(shown))

    async def GetMe(self, request: users_pb2.GetMeRequest, context: Context) -> users_pb2.GetMeResponse:
        return users_pb2.GetMeResponse(user=user_message(await self._own_account.read(origin=origin())))

    async def UpdateMe(self, request: users_pb2.UpdateMeRequest, context: Context) -> users_pb2.UpdateMeResponse:
        changes = AccountChanges(
            fields=paths_in(request.update_mask, allowed=usecase.CHANGEABLE),
            display_name=request.user.display_name,
            email=request.user.email,
        )
        with inside("user", usecase.CHANGEABLE):
            shown = await self._own_account.update(changes, current_password=request.current_password, origin=origin())
        return users_pb2.UpdateMeResponse(user=user_message(shown))

    async def ChangePassword(
        self, request: users_pb2.ChangePasswordRequest, context: Context
    ) -> users_pb2.ChangePasswordResponse:
        ended = await self._own_account.change_password(
            current_password=request.current_password, new_password=request.new_password, origin=origin()
        )
        return users_pb2.ChangePasswordResponse(ended_sessions=ended)

    async def DeleteMe(self, request: users_pb2.DeleteMeRequest, context: Context) -> users_pb2.DeleteMeResponse:
        await self._own_account.delete(password=request.password, origin=origin())
        return users_pb2.DeleteMeResponse()

    async def ListMySessions(
        self, request: users_pb2.ListMySessionsRequest, context: Context
    ) -> users_pb2.ListMySessionsResponse:
        page = await self._session_lists.page(
            usecase.caller_of(origin()).person_id, size=request.page_size, page_token=request.page_token
        )
        current = current_session_id()
        return users_pb2.ListMySessionsResponse(
            sessions=[session_message(each, current=current) for each in page.sessions],
            next_page_token=page.next_page_token,
        )

    async def EndMySession(
        self, request: users_pb2.EndMySessionRequest, context: Context
    ) -> users_pb2.EndMySessionResponse:
        await self._own_account.end_session(uuid_in(request.session_id, field="session_id"), origin=origin())
        return users_pb2.EndMySessionResponse()

    async def EndMyOtherSessions(
        self, request: users_pb2.EndMyOtherSessionsRequest, context: Context
    ) -> users_pb2.EndMyOtherSessionsResponse:
        ended = await self._own_account.end_other_sessions(origin=origin())
        return users_pb2.EndMyOtherSessionsResponse(ended_sessions=ended)
