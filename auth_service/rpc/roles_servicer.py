"""`auth_api.v1.RoleService`: roles and their levels."""

from auth_api.v1 import roles_pb2, roles_pb2_grpc

from auth_service.domain.identifiers import uuid_in
from auth_service.domain.roles import Role
from auth_service.rpc.call import Context, origin
from auth_service.rpc.wire import inside, paths_in, timestamp
from auth_service.usecases.accounts import Accounts
from auth_service.usecases.roles import Roles
from auth_service.usecases.verification import Verification

_CHANGEABLE = ("level", "description")


class RoleServicer(roles_pb2_grpc.RoleServiceServicer):
    def __init__(self, *, roles: Roles, accounts: Accounts, verification: Verification) -> None:
        self._roles = roles
        self._accounts = accounts
        self._verification = verification

    async def CreateRole(self, request: roles_pb2.CreateRoleRequest, context: Context) -> roles_pb2.CreateRoleResponse:
        role = await self._roles.create(
            request.name, level=request.level, description=request.description, origin=origin()
        )
        return roles_pb2.CreateRoleResponse(role=_message(role))

    async def GetRole(self, request: roles_pb2.GetRoleRequest, context: Context) -> roles_pb2.GetRoleResponse:
        return roles_pb2.GetRoleResponse(role=_message(await self._roles.get(request.name)))

    async def ListRoles(self, request: roles_pb2.ListRolesRequest, context: Context) -> roles_pb2.ListRolesResponse:
        page = await self._roles.page(size=request.page_size, page_token=request.page_token)
        return roles_pb2.ListRolesResponse(
            roles=[_message(each) for each in page.roles], next_page_token=page.next_page_token
        )

    async def UpdateRole(self, request: roles_pb2.UpdateRoleRequest, context: Context) -> roles_pb2.UpdateRoleResponse:
        fields = paths_in(request.update_mask, allowed=_CHANGEABLE)
        with inside("role", ("name", *_CHANGEABLE)):
            role = await self._roles.update(
                request.role.name,
                level=request.role.level if "level" in fields else None,
                description=request.role.description if "description" in fields else None,
                origin=origin(),
            )
        return roles_pb2.UpdateRoleResponse(role=_message(role))

    async def DeleteRole(self, request: roles_pb2.DeleteRoleRequest, context: Context) -> roles_pb2.DeleteRoleResponse:
        await self._roles.delete(request.name, origin=origin())
        return roles_pb2.DeleteRoleResponse()

    async def ListRoleUsers(
        self, request: roles_pb2.ListRoleUsersRequest, context: Context
    ) -> roles_pb2.ListRoleUsersResponse:
        page = await self._accounts.holders(request.name, size=request.page_size, page_token=request.page_token)
        return roles_pb2.ListRoleUsersResponse(
            users=[
                roles_pb2.RoleUser(
                    user_id=str(each.account.id),
                    username=each.account.person.username,
                    granted_at=timestamp(each.granted_at),
                )
                for each in page.holders
            ],
            next_page_token=page.next_page_token,
        )

    async def GrantRole(self, request: roles_pb2.GrantRoleRequest, context: Context) -> roles_pb2.GrantRoleResponse:
        person_id = uuid_in(request.user_id, field="user_id")
        held = await self._roles.grant(person_id, request.role, origin=origin())
        return roles_pb2.GrantRoleResponse(roles=held)

    async def RevokeRole(self, request: roles_pb2.RevokeRoleRequest, context: Context) -> roles_pb2.RevokeRoleResponse:
        person_id = uuid_in(request.user_id, field="user_id")
        revoked = await self._roles.revoke(person_id, request.role, end_sessions=request.end_sessions, origin=origin())
        return roles_pb2.RevokeRoleResponse(roles=revoked.roles, ended_sessions=revoked.ended_sessions)

    async def CheckLevel(self, request: roles_pb2.CheckLevelRequest, context: Context) -> roles_pb2.CheckLevelResponse:
        bearer = self._verification.bearer(request.token)
        verdict = await self._roles.check_level(bearer, level=request.level)
        return roles_pb2.CheckLevelResponse(allowed=verdict.is_allowed, bearer_level=verdict.bearer_level)


def _message(role: Role) -> roles_pb2.Role:
    return roles_pb2.Role(
        name=role.name,
        level=role.level,
        description=role.description,
        built_in=role.built_in,
        created_at=timestamp(role.created_at),
    )
