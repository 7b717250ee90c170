"""`auth_api.v1.UserService`: people, by themselves and by administrators."""

from auth_api.v1 import users_pb2_grpc

from auth_service.rpc.administered_accounts_servicer import AdministeredAccounts
from auth_service.rpc.mailed_tokens_servicer import MailedTokens
from auth_service.rpc.own_account_servicer import OwnAccount
from auth_service.usecases import mailed_tokens as mailed_tokens_usecase
from auth_service.usecases import own_account as usecase
from auth_service.usecases.accounts import Accounts
from auth_service.usecases.registration import Registration
from auth_service.usecases.session_lists import SessionLists
from auth_service.usecases.standing import Standing


class UserServicer(OwnAccount, MailedTokens, AdministeredAccounts, users_pb2_grpc.UserServiceServicer):
    """One service in the contract, three stories here."""

    def __init__(
        self,
        *,
        registration: Registration,
        own_account: usecase.OwnAccount,
        mailed_tokens: mailed_tokens_usecase.MailedTokens,
        accounts: Accounts,
        standing: Standing,
        session_lists: SessionLists,
    ) -> None:
        OwnAccount.__init__(self, registration=registration, own_account=own_account, session_lists=session_lists)
        MailedTokens.__init__(self, mailed_tokens=mailed_tokens)
        AdministeredAccounts.__init__(self, accounts=accounts, standing=standing, session_lists=session_lists)
