"""What each method asks of its caller: read from the contract's method options, so that there is one table.

A method without an option refuses the start, not the caller.
"""

from collections.abc import Iterable, Mapping

from auth_api.v1 import (
    audit_pb2,
    auth_pb2,
    keys_pb2,
    maintenance_pb2,
    permission_pb2,
    roles_pb2,
    service_accounts_pb2,
    trust_pb2,
    users_pb2,
)
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from auth_service.domain.policy import Right
from auth_service.rpc.ext_authz import CHECK

OUR_FILES: tuple[FileDescriptor, ...] = (
    auth_pb2.DESCRIPTOR,
    users_pb2.DESCRIPTOR,
    roles_pb2.DESCRIPTOR,
    service_accounts_pb2.DESCRIPTOR,
    keys_pb2.DESCRIPTOR,
    audit_pb2.DESCRIPTOR,
    trust_pb2.DESCRIPTOR,
    maintenance_pb2.DESCRIPTOR,
)


class PermissionMissing(Exception):
    """A served method has no row in the table."""


def _declared(method: MethodDescriptor) -> Right:
    option = method.GetOptions().Extensions[permission_pb2.permission]
    return Right(
        is_public=option.public,
        is_for_signed_in=option.signed_in,
        self_field=option.self,
        roles=frozenset(option.roles),
        level=option.level if option.HasField("level") else None,
        scope=option.scope,
    )


PUBLIC = Right(is_public=True)
PERMISSIONS: Mapping[str, Right] = {
    **{
        f"/{service.full_name}/{method.name}": _declared(method)
        for file in OUR_FILES
        for service in file.services_by_name.values()
        for method in service.methods
        if method.GetOptions().HasExtension(permission_pb2.permission)
    },
    # Others' contracts, without our option. Envoy asks on behalf of whoever sent the request, and shows their token.
    CHECK: PUBLIC,
    "/grpc.health.v1.Health/Check": PUBLIC,
    "/grpc.health.v1.Health/List": PUBLIC,
    "/grpc.health.v1.Health/Watch": PUBLIC,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": PUBLIC,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": PUBLIC,
}


def check_complete(served: Iterable[str], permissions: Mapping[str, Right] = PERMISSIONS) -> None:
    """Raises PermissionMissing, naming every method of `served` without a row, or with one that admits nobody."""
    missing = sorted(method for method in set(served) if permissions.get(method, Right()) == Right())
    if missing:
        raise PermissionMissing(f"no `permission` option on {', '.join(missing)}")
