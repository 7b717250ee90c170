"""`auth_api.v1.UserService`, its second half: what administrators do about others."""

from auth_api.v1 import users_pb2

from auth_service.domain.accounts import CHANGEABLE, AccountChanges, AccountFilter, NewAccount
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.identifiers import uuid_in
from auth_service.rpc.call import Context, current_session_id, origin
from auth_service.rpc.users_messages import session_message, state_in, user_message
from auth_service.rpc.wire import inside, paths_in
from auth_service.usecases.accounts import Accounts
from auth_service.usecases.session_lists import SessionLists
from auth_service.usecases.standing import Standing


class AdministeredAccounts:
    def __init__(self, *, accounts: Accounts, standing: Standing, session_lists: SessionLists) -> None:
        self._accounts = accounts
        self._standing = standing
        self._session_lists = session_lists

    async def CreateUser(self, request: users_pb2.CreateUserRequest, context: Context) -> users_pb2.CreateUserResponse:
        new = NewAccount(
            username=request.username,
            display_name=request.display_name,
            email=request.email,
            email_verified=request.email_verified,
            user_number=request.user_number if request.HasField("user_number") else None,
            roles=frozenset(request.roles),
            password=(lambda: request.password) if request.password else None,
            password_hash=request.password_hash,
            must_change_password=request.must_change_password,
        )
        return users_pb2.CreateUserResponse(user=user_message(await self._accounts.create(new, origin=origin())))

    async def GetUser(self, request: users_pb2.GetUserRequest, context: Context) -> users_pb2.GetUserResponse:
        shown = await self._accounts.get(uuid_in(request.user_id, field="user_id"))
        return users_pb2.GetUserResponse(user=user_message(shown))

    async def ListUsers(self, request: users_pb2.ListUsersRequest, context: Context) -> users_pb2.ListUsersResponse:
        filters = AccountFilter(
            username_prefix=request.username_prefix,
            email_prefix=request.email_prefix,
            role=request.role,
            state=state_in(request.state),
        )
        page = await self._accounts.page(filters, size=request.page_size, page_token=request.page_token)
        return users_pb2.ListUsersResponse(
            users=[user_message(each) for each in page.accounts], next_page_token=page.next_page_token
        )

    async def UpdateUser(self, request: users_pb2.UpdateUserRequest, context: Context) -> users_pb2.UpdateUserResponse:
        person_id = uuid_in(request.user.user_id, field="user.user_id")
        changes = AccountChanges(
            fields=paths_in(request.update_mask, allowed=CHANGEABLE),
            username=request.user.username,
            display_name=request.user.display_name,
            email=request.user.email,
            email_verified=request.user.email_verified,
            user_number=request.user.user_number if request.user.HasField("user_number") else None,
            must_change_password=request.user.must_change_password,
        )
        with inside("user", CHANGEABLE):
            shown = await self._accounts.update(person_id, changes, origin=origin())
        return users_pb2.UpdateUserResponse(user=user_message(shown))

    async def SetPassword(
        self, request: users_pb2.SetPasswordRequest, context: Context
    ) -> users_pb2.SetPasswordResponse:
        ended = await self._standing.set_password(
            uuid_in(request.user_id, field="user_id"),
            request.new_password,
            must_change=request.must_change_password,
            origin=origin(),
        )
        return users_pb2.SetPasswordResponse(ended_sessions=ended)

    async def DisableUser(
        self, request: users_pb2.DisableUserRequest, context: Context
    ) -> users_pb2.DisableUserResponse:
        person_id = uuid_in(request.user_id, field="user_id")
        shown = await self._standing.disable(person_id, reason=request.reason, origin=origin())
        return users_pb2.DisableUserResponse(user=user_message(shown))

    async def EnableUser(self, request: users_pb2.EnableUserRequest, context: Context) -> users_pb2.EnableUserResponse:
        shown = await self._standing.enable(uuid_in(request.user_id, field="user_id"), origin=origin())
        return users_pb2.EnableUserResponse(user=user_message(shown))

    async def DeleteUser(self, request: users_pb2.DeleteUserRequest, context: Context) -> users_pb2.DeleteUserResponse:
        shown = await self._standing.delete(uuid_in(request.user_id, field="user_id"), origin=origin())
        return users_pb2.DeleteUserResponse(user=user_message(shown))

    async def PurgeUser(self, request: users_pb2.PurgeUserRequest, context: Context) -> users_pb2.PurgeUserResponse:
        await self._standing.purge(uuid_in(request.user_id, field="user_id"), origin=origin())
        return users_pb2.PurgeUserResponse()

    async def ListUserSessions(
        self, request: users_pb2.ListUserSessionsRequest, context: Context
    ) -> users_pb2.ListUserSessionsResponse:
        person_id = uuid_in(request.user_id, field="user_id")
        await self._accounts.get(person_id)
        page = await self._session_lists.page(person_id, size=request.page_size, page_token=request.page_token)
        current = current_session_id()
        return users_pb2.ListUserSessionsResponse(
            sessions=[session_message(each, current=current) for each in page.sessions],
            next_page_token=page.next_page_token,
        )

    async def EndUserSessions(
        self, request: users_pb2.EndUserSessionsRequest, context: Context
    ) -> users_pb2.EndUserSessionsResponse:
        ended = await self._standing.end_sessions(
            uuid_in(request.user_id, field="user_id"),
            only=uuid_in(request.session_id, field="session_id") if request.session_id else None,
            origin=origin(),
        )
        return users_pb2.EndUserSessionsResponse(ended_sessions=ended)

    async def LookUpUser(self, request: users_pb2.LookUpUserRequest, context: Context) -> users_pb2.LookUpUserResponse:
        match request.WhichOneof("by"):
            case "user_id":
                account = await self._accounts.look_up(person_id=uuid_in(request.user_id, field="user_id"))
            case "username":
                account = await self._accounts.look_up(username=request.username)
            case _:
                raise InvalidInput(FieldViolation("user_id", "expected a user_id or a username"))
        return users_pb2.LookUpUserResponse(
            user_id=str(account.id), username=account.person.username, display_name=account.person.display_name
        )
