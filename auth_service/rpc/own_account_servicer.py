"""`auth_api.v1.UserService`, its first half: what people do about themselves."""

from auth_api.v1 import users_pb2

from auth_service.rpc.call import Context


class OwnAccount:
    async def Register(self, request: users_pb2.RegisterRequest, context: Context) -> users_pb2.RegisterResponse:
        raise NotImplementedError

    async def GetMe(self, request: users_pb2.GetMeRequest, context: Context) -> users_pb2.GetMeResponse:
        raise NotImplementedError

    async def UpdateMe(self, request: users_pb2.UpdateMeRequest, context: Context) -> users_pb2.UpdateMeResponse:
        raise NotImplementedError

    async def ChangePassword(
        self, request: users_pb2.ChangePasswordRequest, context: Context
    ) -> users_pb2.ChangePasswordResponse:
        raise NotImplementedError

    async def DeleteMe(self, request: users_pb2.DeleteMeRequest, context: Context) -> users_pb2.DeleteMeResponse:
        raise NotImplementedError

    async def RequestPasswordReset(
        self, request: users_pb2.RequestPasswordResetRequest, context: Context
    ) -> users_pb2.RequestPasswordResetResponse:
        raise NotImplementedError

    async def ResetPassword(
        self, request: users_pb2.ResetPasswordRequest, context: Context
    ) -> users_pb2.ResetPasswordResponse:
        raise NotImplementedError

    async def RequestEmailVerification(
        self, request: users_pb2.RequestEmailVerificationRequest, context: Context
    ) -> users_pb2.RequestEmailVerificationResponse:
        raise NotImplementedError

    async def VerifyEmail(
        self, request: users_pb2.VerifyEmailRequest, context: Context
    ) -> users_pb2.VerifyEmailResponse:
        raise NotImplementedError

    async def ListMySessions(
        self, request: users_pb2.ListMySessionsRequest, context: Context
    ) -> users_pb2.ListMySessionsResponse:
        raise NotImplementedError

    async def EndMySession(
        self, request: users_pb2.EndMySessionRequest, context: Context
    ) -> users_pb2.EndMySessionResponse:
        raise NotImplementedError

    async def EndMyOtherSessions(
        self, request: users_pb2.EndMyOtherSessionsRequest, context: Context
    ) -> users_pb2.EndMyOtherSessionsResponse:
        raise NotImplementedError
