"""`auth_api.v1.RoleService`: roles and their levels."""

from auth_api.v1 import roles_pb2, roles_pb2_grpc

from auth_service.rpc.call import Context


class RoleServicer(roles_pb2_grpc.RoleServiceServicer):
    async def CreateRole(self, request: roles_pb2.CreateRoleRequest, context: Context) -> roles_pb2.CreateRoleResponse:
        raise NotImplementedError

    async def GetRole(self, request: roles_pb2.GetRoleRequest, context: Context) -> roles_pb2.GetRoleResponse:
        raise NotImplementedError

    async def ListRoles(self, request: roles_pb2.ListRolesRequest, context: Context) -> roles_pb2.ListRolesResponse:
        raise NotImplementedError

    async def UpdateRole(self, request: roles_pb2.UpdateRoleRequest, context: Context) -> roles_pb2.UpdateRoleResponse:
        raise NotImplementedError

    async def DeleteRole(self, request: roles_pb2.DeleteRoleRequest, context: Context) -> roles_pb2.DeleteRoleResponse:
        raise NotImplementedError

    async def ListRoleUsers(
        self, request: roles_pb2.ListRoleUsersRequest, context: Context
    ) -> roles_pb2.ListRoleUsersResponse:
        raise NotImplementedError

    async def GrantRole(self, request: roles_pb2.GrantRoleRequest, context: Context) -> roles_pb2.GrantRoleResponse:
        raise NotImplementedError

    async def RevokeRole(self, request: roles_pb2.RevokeRoleRequest, context: Context) -> roles_pb2.RevokeRoleResponse:
        raise NotImplementedError

    async def CheckLevel(self, request: roles_pb2.CheckLevelRequest, context: Context) -> roles_pb2.CheckLevelResponse:
        raise NotImplementedError
