"""`auth_api.v1.UserService`: people, by themselves and by administrators."""

from auth_api.v1 import users_pb2_grpc

from auth_service.rpc.administered_accounts_servicer import AdministeredAccounts
from auth_service.rpc.own_account_servicer import OwnAccount


class UserServicer(OwnAccount, AdministeredAccounts, users_pb2_grpc.UserServiceServicer):
    """One service in the contract, two stories here."""
