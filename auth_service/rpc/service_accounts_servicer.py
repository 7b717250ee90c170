"""`auth_api.v1.ServiceAccountService`: services and their API keys."""

from auth_api.v1 import service_accounts_pb2, service_accounts_pb2_grpc

from auth_service.rpc.call import Context


class ServiceAccountServicer(service_accounts_pb2_grpc.ServiceAccountServiceServicer):
    async def CreateServiceAccount(
        self, request: service_accounts_pb2.CreateServiceAccountRequest, context: Context
    ) -> service_accounts_pb2.CreateServiceAccountResponse:
        raise NotImplementedError

    async def GetServiceAccount(
        self, request: service_accounts_pb2.GetServiceAccountRequest, context: Context
    ) -> service_accounts_pb2.GetServiceAccountResponse:
        raise NotImplementedError

    async def ListServiceAccounts(
        self, request: service_accounts_pb2.ListServiceAccountsRequest, context: Context
    ) -> service_accounts_pb2.ListServiceAccountsResponse:
        raise NotImplementedError

    async def DeleteServiceAccount(
        self, request: service_accounts_pb2.DeleteServiceAccountRequest, context: Context
    ) -> service_accounts_pb2.DeleteServiceAccountResponse:
        raise NotImplementedError

    async def CreateApiKey(
        self, request: service_accounts_pb2.CreateApiKeyRequest, context: Context
    ) -> service_accounts_pb2.CreateApiKeyResponse:
        raise NotImplementedError

    async def ListApiKeys(
        self, request: service_accounts_pb2.ListApiKeysRequest, context: Context
    ) -> service_accounts_pb2.ListApiKeysResponse:
        raise NotImplementedError

    async def RevokeApiKey(
        self, request: service_accounts_pb2.RevokeApiKeyRequest, context: Context
    ) -> service_accounts_pb2.RevokeApiKeyResponse:
        raise NotImplementedError
