"""`auth_api.v1.ServiceAccountService`: services and their API keys."""

from datetime import UTC, datetime

from auth_api.v1 import service_accounts_pb2, service_accounts_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.api_keys import ApiKey, ServiceAccount
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.identifiers import uuid_in
from auth_service.rpc.call import Context, origin
from auth_service.rpc.wire import timestamp
from auth_service.usecases.service_accounts import ServiceAccounts


class ServiceAccountServicer(service_accounts_pb2_grpc.ServiceAccountServiceServicer):
    def __init__(self, *, service_accounts: ServiceAccounts) -> None:
        self._accounts = service_accounts

    async def CreateServiceAccount(
        self, request: service_accounts_pb2.CreateServiceAccountRequest, context: Context
    ) -> service_accounts_pb2.CreateServiceAccountResponse:
        account = await self._accounts.create(name=request.name, description=request.description, origin=origin())
        return service_accounts_pb2.CreateServiceAccountResponse(service_account=_account(account))

    async def GetServiceAccount(
        self, request: service_accounts_pb2.GetServiceAccountRequest, context: Context
    ) -> service_accounts_pb2.GetServiceAccountResponse:
        account = await self._accounts.get(uuid_in(request.service_account_id, field="service_account_id"))
        return service_accounts_pb2.GetServiceAccountResponse(service_account=_account(account))

    async def ListServiceAccounts(
        self, request: service_accounts_pb2.ListServiceAccountsRequest, context: Context
    ) -> service_accounts_pb2.ListServiceAccountsResponse:
        page = await self._accounts.page(
            name_prefix=request.name_prefix, size=request.page_size, page_token=request.page_token
        )
        return service_accounts_pb2.ListServiceAccountsResponse(
            service_accounts=[_account(each) for each in page.accounts], next_page_token=page.next_page_token
        )

    async def DeleteServiceAccount(
        self, request: service_accounts_pb2.DeleteServiceAccountRequest, context: Context
    ) -> service_accounts_pb2.DeleteServiceAccountResponse:
        await self._accounts.delete(uuid_in(request.service_account_id, field="service_account_id"), origin=origin())
        return service_accounts_pb2.DeleteServiceAccountResponse()

    async def CreateApiKey(
        self, request: service_accounts_pb2.CreateApiKeyRequest, context: Context
    ) -> service_accounts_pb2.CreateApiKeyResponse:
        new = await self._accounts.create_key(
            uuid_in(request.service_account_id, field="service_account_id"),
            scopes=request.scopes,
            expires_at=_moment(request.expires_at) if request.HasField("expires_at") else None,
            origin=origin(),
        )
        return service_accounts_pb2.CreateApiKeyResponse(api_key=_key(new.key), secret=new.secret)

    async def ListApiKeys(
        self, request: service_accounts_pb2.ListApiKeysRequest, context: Context
    ) -> service_accounts_pb2.ListApiKeysResponse:
        page = await self._accounts.page_of_keys(
            uuid_in(request.service_account_id, field="service_account_id"),
            size=request.page_size,
            page_token=request.page_token,
        )
        return service_accounts_pb2.ListApiKeysResponse(
            api_keys=[_key(each) for each in page.keys], next_page_token=page.next_page_token
        )

    async def RevokeApiKey(
        self, request: service_accounts_pb2.RevokeApiKeyRequest, context: Context
    ) -> service_accounts_pb2.RevokeApiKeyResponse:
        key = await self._accounts.revoke_key(uuid_in(request.api_key_id, field="api_key_id"), origin=origin())
        return service_accounts_pb2.RevokeApiKeyResponse(api_key=_key(key))


def _account(account: ServiceAccount) -> service_accounts_pb2.ServiceAccount:
    return service_accounts_pb2.ServiceAccount(
        service_account_id=str(account.id),
        name=account.name,
        description=account.description,
        created_at=timestamp(account.created_at),
    )


def _key(key: ApiKey) -> service_accounts_pb2.ApiKey:
    return service_accounts_pb2.ApiKey(
        api_key_id=str(key.id),
        service_account_id=str(key.account_id),
        prefix=key.prefix,
        scopes=sorted(key.scopes),
        created_at=timestamp(key.created_at),
        expires_at=timestamp(key.expires_at),
        last_used_at=timestamp(key.last_used_at),
        revoked_at=timestamp(key.revoked_at),
        from_settings=key.from_settings,
    )


def _moment(given: Timestamp) -> datetime:
    """Raises InvalidInput for what is no moment of the years 1 to 9999."""
    try:
        return given.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(FieldViolation("expires_at", "expected a moment before the year 10000")) from None
