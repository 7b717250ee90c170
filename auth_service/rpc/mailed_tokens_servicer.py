"""`auth_api.v1.UserService`, what people do by mail."""

from auth_api.v1 import users_pb2

from auth_service.domain.mailed_tokens import Purpose
from auth_service.rpc.call import Context, origin
from auth_service.usecases import mailed_tokens as usecase


class MailedTokens:
    def __init__(self, *, mailed_tokens: usecase.MailedTokens) -> None:
        self._mailed_tokens = mailed_tokens

    async def RequestPasswordReset(
        self, request: users_pb2.RequestPasswordResetRequest, context: Context
    ) -> users_pb2.RequestPasswordResetResponse:
        await self._mailed_tokens.request(Purpose.PASSWORD_RESET, email=request.email, origin=origin())
        return users_pb2.RequestPasswordResetResponse()

    async def ResetPassword(
        self, request: users_pb2.ResetPasswordRequest, context: Context
    ) -> users_pb2.ResetPasswordResponse:
        await self._mailed_tokens.reset_password(
            token=request.token, new_password=request.new_password, origin=origin()
        )
        return users_pb2.ResetPasswordResponse()

    async def RequestEmailVerification(
        self, request: users_pb2.RequestEmailVerificationRequest, context: Context
    ) -> users_pb2.RequestEmailVerificationResponse:
        await self._mailed_tokens.request(Purpose.EMAIL_VERIFICATION, email=request.email, origin=origin())
        return users_pb2.RequestEmailVerificationResponse()

    async def VerifyEmail(
        self, request: users_pb2.VerifyEmailRequest, context: Context
    ) -> users_pb2.VerifyEmailResponse:
        await self._mailed_tokens.verify_email(token=request.token, origin=origin())
        return users_pb2.VerifyEmailResponse()
