"""Somebody with an access token at the service's door, who does to people and roles what administrators do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from auth_api.v1 import roles_pb2, roles_pb2_grpc, users_pb2, users_pb2_grpc
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.service import Service, admin_token, bearer
from tests.support.sql import executed

PASSWORD = "a pony eats seven clever plums"


@dataclass(frozen=True, slots=True)
class Acting:
    """A caller; `person_id` is theirs."""

    service: Service
    token: str
    person_id: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return bearer(self.token)

    @property
    def users(self) -> "users_pb2_grpc.UserServiceAsyncStub":
        return users_pb2_grpc.UserServiceStub(self.service.channel)

    @property
    def roles(self) -> "roles_pb2_grpc.RoleServiceAsyncStub":
        return roles_pb2_grpc.RoleServiceStub(self.service.channel)

    async def create(
        self, username: str = "", *, password: str = PASSWORD, roles: Sequence[str] = (), **fields: Any
    ) -> users_pb2.User:
        request = users_pb2.CreateUserRequest(username=username or new_name(), password=password, roles=roles, **fields)
        return (await self.users.CreateUser(request, metadata=self.metadata)).user

    async def get(self, user_id: str) -> users_pb2.User:
        return (await self.users.GetUser(users_pb2.GetUserRequest(user_id=user_id), metadata=self.metadata)).user

    async def update(self, user_id: str, *paths: str, **fields: Any) -> users_pb2.User:
        request = users_pb2.UpdateUserRequest(
            user=users_pb2.User(user_id=user_id, **fields), update_mask=FieldMask(paths=paths or list(fields))
        )
        return (await self.users.UpdateUser(request, metadata=self.metadata)).user

    async def set_password(self, user_id: str, password: str, *, must_change: bool = False) -> int:
        request = users_pb2.SetPasswordRequest(user_id=user_id, new_password=password, must_change_password=must_change)
        return (await self.users.SetPassword(request, metadata=self.metadata)).ended_sessions

    async def disable(self, user_id: str, reason: str = "") -> users_pb2.User:
        request = users_pb2.DisableUserRequest(user_id=user_id, reason=reason)
        return (await self.users.DisableUser(request, metadata=self.metadata)).user

    async def enable(self, user_id: str) -> users_pb2.User:
        return (await self.users.EnableUser(users_pb2.EnableUserRequest(user_id=user_id), metadata=self.metadata)).user

    async def delete(self, user_id: str) -> users_pb2.User:
        return (await self.users.DeleteUser(users_pb2.DeleteUserRequest(user_id=user_id), metadata=self.metadata)).user

    async def purge(self, user_id: str) -> None:
        await self.users.PurgeUser(users_pb2.PurgeUserRequest(user_id=user_id), metadata=self.metadata)

    async def page(self, **filters: Any) -> users_pb2.ListUsersResponse:
        return await self.users.ListUsers(users_pb2.ListUsersRequest(**filters), metadata=self.metadata)

    async def listed(self, *, page_size: int = 2, **filters: Any) -> list[str]:
        """The user names of all pages."""
        names: list[str] = []
        page_token = ""
        while True:
            page = await self.page(page_size=page_size, page_token=page_token, **filters)
            names += [user.username for user in page.users]
            page_token = page.next_page_token
            if not page_token:
                return names

    async def sessions(self, user_id: str, **which: Any) -> users_pb2.ListUserSessionsResponse:
        request = users_pb2.ListUserSessionsRequest(user_id=user_id, **which)
        return await self.users.ListUserSessions(request, metadata=self.metadata)

    async def end_sessions(self, user_id: str, session_id: str = "") -> int:
        request = users_pb2.EndUserSessionsRequest(user_id=user_id, session_id=session_id)
        return (await self.users.EndUserSessions(request, metadata=self.metadata)).ended_sessions

    async def look_up(self, **by: str) -> users_pb2.LookUpUserResponse:
        return await self.users.LookUpUser(users_pb2.LookUpUserRequest(**by), metadata=self.metadata)

    async def role(self, name: str = "", *, at_least: int = 101, level: int | None = None) -> roles_pb2.Role:
        """A new role of the strongest level from `at_least` on that is free, or of `level`."""
        if level is None:
            taken = {each.level for each in await self.all_roles()}
            level = next(each for each in range(at_least, 1000) if each not in taken)
        request = roles_pb2.CreateRoleRequest(name=name or new_name(), level=level)
        return (await self.roles.CreateRole(request, metadata=self.metadata)).role

    async def all_roles(self) -> Sequence[roles_pb2.Role]:
        request = roles_pb2.ListRolesRequest(page_size=1000)
        return (await self.roles.ListRoles(request, metadata=self.metadata)).roles

    async def grant(self, user_id: str, role: str) -> list[str]:
        request = roles_pb2.GrantRoleRequest(user_id=user_id, role=role)
        return list((await self.roles.GrantRole(request, metadata=self.metadata)).roles)

    async def revoke(self, user_id: str, role: str, *, end_sessions: bool = False) -> list[str]:
        request = roles_pb2.RevokeRoleRequest(user_id=user_id, role=role, end_sessions=end_sessions)
        return list((await self.roles.RevokeRole(request, metadata=self.metadata)).roles)

    async def deputy(self, *, at_least: int = 50) -> "Acting":
        """Somebody who was made an administrator of people, below this one."""
        role = await self.role(at_least=at_least)
        user = await self.create(roles=[role.name])
        return await signed_in(self.service, user.username, PASSWORD)


def new_name() -> str:
    """A name that nobody has, of a person or of a role."""
    return f"n{uuid4().hex[:12]}"


async def signed_in(service: Service, username: str, password: str | None = None) -> Acting:
    token = (await service.login(username, password)).access_token
    return Acting(service, token, (await service.verify(token)).subject)


async def administrator(service: Service) -> Acting:
    """Somebody with the role `admin`."""
    token = await admin_token(service)
    return Acting(service, token, (await service.verify(token)).subject)


async def found(service: Service, select: sa.Select[Any]) -> Sequence[Any]:
    """Rows straight from the service's database."""
    return await executed(service.settings.database, select)
