"""What each method asks of its caller. A method without a row refuses the start, not the caller."""

from collections.abc import Iterable, Mapping

from auth_service.domain.policy import Right

PERMISSIONS: Mapping[str, Right] = {
    "/auth_api.v1.AuthService/Login": "public",
    "/auth_api.v1.AuthService/Verify": "public",
    "/auth_api.v1.AuthService/Refresh": "public",
    "/auth_api.v1.AuthService/Logout": "public",
    "/auth_api.v1.AuthService/ListExperiments": "caller",
    "/auth_api.v1.AuthService/GetJwks": "public",
    "/auth_api.v1.AuthService/GetServerInfo": "public",
    "/auth_api.v1.KeyService/ListSigningKeys": "admin",
    "/auth_api.v1.KeyService/RotateSigningKey": "admin",
    "/auth_api.v1.KeyService/RevokeSigningKey": "admin",
    "/grpc.health.v1.Health/Check": "public",
    "/grpc.health.v1.Health/List": "public",
    "/grpc.health.v1.Health/Watch": "public",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": "public",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "public",
}


class PermissionMissing(Exception):
    """A served method has no row in the table."""


def check_complete(served: Iterable[str], permissions: Mapping[str, Right] = PERMISSIONS) -> None:
    """Raises PermissionMissing, naming every method of `served` without a row."""
    missing = sorted(set(served) - set(permissions))
    if missing:
        raise PermissionMissing(f"no row in rpc/permissions.py for {', '.join(missing)}")
