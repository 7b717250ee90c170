"""What operators do with the ring of signing keys, through the doors and on the command line."""

from auth_service.app.core import Core, key_policy
from auth_service.domain.pages import PageTokens
from auth_service.domain.tokens import TokenPolicy
from auth_service.settings import Settings
from auth_service.usecases.canaries import Canaries
from auth_service.usecases.key_list import ConsumerList


def token_policy(settings: Settings) -> TokenPolicy:
    return TokenPolicy(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        lifetime=settings.access_token_lifetime,
        client_id=settings.client_id,
    )


def canaries(settings: Settings, base: Core) -> Canaries:
    return Canaries(base.database, keys=base.keys, token_policy=token_policy(settings))


def consumer_list(settings: Settings, base: Core, *, page_tokens: PageTokens) -> ConsumerList:
    return ConsumerList(
        base.database,
        keys=base.keys,
        consumers=base.consumers,
        key_policy=key_policy(settings),
        clock=base.clock,
        page_tokens=page_tokens,
    )
