"""Every method, called by every kind of caller, and what became of it: `make permissions`.

Each call is an unreadable message. The server reads it only for a caller whom it lets in, and then says so: nothing is
done, and what a method makes of its request plays no part. Where the caller must be whom the request names, it is a
request that names them, which is why those methods may only read.
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import grpc
import sqlalchemy as sa
from auth_api.v1 import auth_pb2
from auth_api.v1 import service_accounts_pb2 as services_pb2
from auth_api.v1.service_accounts_pb2_grpc import ServiceAccountServiceStub
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from auth_service.domain.api_keys import SCOPES
from auth_service.rpc.permissions import OUR_FILES, PERMISSIONS
from auth_service.storage import schema
from tests.support.service import (
    Refusal,
    Service,
    admin_token,
    bearer,
    captured_logs,
    running_service,
    running_stand_in,
    token_of,
)

Verdict = Literal["yes", "no", "who?"]
Table = Mapping[str, Mapping[str, Verdict]]
"""Verdicts by method and by caller."""

NAMED = "the person named"
UNREADABLE = b"\xff"
_HELPER, _HELPERS_LEVEL = "helper-of-the-walk", 100
_STRANGE = frozenset({"CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED"})

PREFACE = """# Who may call what

What a running service answered to every method and every kind of caller. `make permissions` asks again and prints this
page; a test holds that it is up to date. Who may is declared on the methods themselves, as the option `permission`
(`protos/auth_api/v1/permission.proto`), which reflection shows, and decided in `rpc/interceptors/permission.py`. Health
checks and reflection are for everybody.

- `yes`: let in. Then it counts whom it is about: nobody acts on a person above them, or grants what is not below them.
- `no`: PERMISSION_DENIED. `who?`: UNAUTHENTICATED.
- A service calls with an API key of one scope, and with an access token that the key bought; both are told the same.
"""


@dataclass(frozen=True, slots=True)
class Callers:
    """Their credentials by who they are; who has two must be told the same for both. `named` is whom requests name."""

    credentials: Mapping[str, tuple[str, ...]]
    named: auth_pb2.VerifyResponse


async def walk(service: Service) -> Table:
    """Raises AssertionError where an answer is none of the verdicts, or two credentials of one caller differ."""
    callers = await _callers(service)
    return {
        f"{method.containing_service.name}.{method.name}": {
            who: await _verdict(service, method, credentials, named=callers.named)
            for who, credentials in callers.credentials.items()
        }
        for method in _methods()
    }


def page_of(table: Table) -> str:
    """The table as docs/permissions.md holds it."""
    callers = list(next(iter(table.values())))
    lines = [PREFACE]
    service = ""
    for name, row in table.items():
        if name.partition(".")[0] != service:
            service = name.partition(".")[0]
            lines += ["", f"## {service}", "", f"| method | {' | '.join(callers)} |", "|---" * (len(callers) + 1) + "|"]
        lines.append(f"| {name.partition('.')[2]} | {' | '.join(row.values())} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _methods() -> list[MethodDescriptor]:
    return [method for file in OUR_FILES for service in file.services_by_name.values() for method in service.methods]


async def _verdict(
    service: Service, method: MethodDescriptor, credentials: tuple[str, ...], *, named: auth_pb2.VerifyResponse
) -> Verdict:
    path = f"/{method.containing_service.full_name}/{method.name}"
    message = _message(method, PERMISSIONS[path].self_field, named)
    verdicts = {await _asked(service, path, message, each) for each in credentials}
    assert len(verdicts) == 1, f"{path}: {verdicts}"
    return verdicts.pop()


def _message(method: MethodDescriptor, self_field: str, named: auth_pb2.VerifyResponse) -> bytes:
    if not self_field:
        return UNREADABLE
    assert method.name.startswith(("Get", "List")), f"{method.name} would do something"
    request = GetMessageClass(method.input_type)()
    setattr(request, self_field, named.user_number if self_field == "user_number" else named.subject)
    return request.SerializeToString()


async def _asked(service: Service, path: str, message: bytes, credential: str) -> Verdict:
    try:
        await service.raw(path)(message, metadata=bearer(credential) if credential else ())
    except grpc.aio.AioRpcError as error:
        refused = Refusal.of(error)
    else:
        assert message != UNREADABLE, f"{path} read what cannot be read"
        return "yes"
    if refused.reason == "MALFORMED_MESSAGE":
        return "yes"
    if refused.code is grpc.StatusCode.PERMISSION_DENIED:
        return "no"
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED, f"{path}: {refused.verdict}"
    assert refused.reason in _STRANGE, f"{path}: {refused.verdict}"
    return "who?"


async def _callers(service: Service) -> Callers:
    pair, ended = await service.login("user1001"), await service.login("user1001")
    await service.logout(ended.refresh_token)
    administrator = await admin_token(service)
    return Callers(
        credentials={
            "nobody": ("",),
            "garbage": ("garbage",),
            "a refresh token": (pair.refresh_token,),
            "a forged token": (pair.access_token[:-4] + "AAAA",),
            "an ended session": (ended.access_token,),
            NAMED: (pair.access_token,),
            "another person": ((await service.login("user1003")).access_token,),
            "staff": ((await service.login("staff1002")).access_token,),
            f"level {_HELPERS_LEVEL}": (await _helper(service),),
            "administrator": (administrator,),
            **await _services(service, administrator),
        },
        named=await service.verify(pair.access_token),
    )


async def _helper(service: Service) -> str:
    """A person whose role is neither the strongest nor the weakest."""
    await service.sql(
        sa.insert(schema.role).values(
            name=_HELPER, level=_HELPERS_LEVEL, description="", built_in=False, created_at=datetime.now(UTC)
        )
    )
    return await token_of(service, _HELPER, "a pass phrase of the helper", _HELPER)


async def _services(service: Service, administrator: str) -> dict[str, tuple[str, ...]]:
    """A key and a token of each scope, and a key that was revoked."""
    stub, metadata = ServiceAccountServiceStub(service.channel), bearer(administrator)

    async def new_key(scope: str) -> services_pb2.CreateApiKeyResponse:
        name = f"walk-{scope.replace(':', '-')}-{len(found)}"
        made = await stub.CreateServiceAccount(services_pb2.CreateServiceAccountRequest(name=name), metadata=metadata)
        account_id = made.service_account.service_account_id
        request = services_pb2.CreateApiKeyRequest(service_account_id=account_id, scopes=[scope])
        return await stub.CreateApiKey(request, metadata=metadata)

    found: dict[str, tuple[str, ...]] = {}
    for scope in SCOPES:
        key = (await new_key(scope)).secret
        bought = await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=key))
        found[f"service, {scope}"] = (key, bought.access_token)
    revoked = await new_key(SCOPES[0])
    bought = await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=revoked.secret))
    await stub.RevokeApiKey(services_pb2.RevokeApiKeyRequest(api_key_id=revoked.api_key.api_key_id), metadata=metadata)
    return {"a revoked key": (revoked.secret, bought.access_token), **found}


async def _main() -> None:
    with tempfile.TemporaryDirectory() as home, captured_logs():
        database = f"sqlite:///{home}/walk.db"
        async with (
            running_stand_in() as facility,
            running_service(database, facility=facility, data_dir=Path(home), rate_limits="none") as service,
        ):
            sys.stdout.write(page_of(await walk(service)))


if __name__ == "__main__":
    asyncio.run(_main())
