"""`auth_api.v1.UserService`, its second half: what administrators do about others."""

from auth_api.v1 import users_pb2

from auth_service.rpc.call import Context


class AdministeredAccounts:
    async def CreateUser(self, request: users_pb2.CreateUserRequest, context: Context) -> users_pb2.CreateUserResponse:
        raise NotImplementedError

    async def GetUser(self, request: users_pb2.GetUserRequest, context: Context) -> users_pb2.GetUserResponse:
        raise NotImplementedError

    async def ListUsers(self, request: users_pb2.ListUsersRequest, context: Context) -> users_pb2.ListUsersResponse:
        raise NotImplementedError

    async def UpdateUser(self, request: users_pb2.UpdateUserRequest, context: Context) -> users_pb2.UpdateUserResponse:
        raise NotImplementedError

    async def SetPassword(
        self, request: users_pb2.SetPasswordRequest, context: Context
    ) -> users_pb2.SetPasswordResponse:
        raise NotImplementedError

    async def DisableUser(
        self, request: users_pb2.DisableUserRequest, context: Context
    ) -> users_pb2.DisableUserResponse:
        raise NotImplementedError

    async def EnableUser(self, request: users_pb2.EnableUserRequest, context: Context) -> users_pb2.EnableUserResponse:
        raise NotImplementedError

    async def DeleteUser(self, request: users_pb2.DeleteUserRequest, context: Context) -> users_pb2.DeleteUserResponse:
        raise NotImplementedError

    async def PurgeUser(self, request: users_pb2.PurgeUserRequest, context: Context) -> users_pb2.PurgeUserResponse:
        raise NotImplementedError

    async def ListUserSessions(
        self, request: users_pb2.ListUserSessionsRequest, context: Context
    ) -> users_pb2.ListUserSessionsResponse:
        raise NotImplementedError

    async def EndUserSessions(
        self, request: users_pb2.EndUserSessionsRequest, context: Context
    ) -> users_pb2.EndUserSessionsResponse:
        raise NotImplementedError

    async def LookUpUser(self, request: users_pb2.LookUpUserRequest, context: Context) -> users_pb2.LookUpUserResponse:
        raise NotImplementedError
