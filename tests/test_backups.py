"""docs/backups.md: its commands are typed, and what it says of a restored database holds."""

from pathlib import Path

import aiohttp
import pytest

from tests.support.console import session, typed
from tests.support.processes import ServiceProcess

STEPS = session(Path(__file__).parent.parent / "docs/backups.md")
BACK_UP, RESTORE, SIGN_EVERYBODY_OUT = STEPS[:3], STEPS[3:5], STEPS[5:]


async def token(service: ServiceProcess, **form: str) -> dict[str, str]:
    """What /oauth/token answers."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{service.http_address}/oauth/token", data=form) as answer,
    ):
        told: dict[str, str] = await answer.json()
        return told


async def signed_in(service: ServiceProcess, name: str = "user1001") -> str:
    """The refresh token."""
    pair = await token(service, grant_type="password", username=name, password=f"{name}-password")
    return pair["refresh_token"]


async def refreshed(service: ServiceProcess, refresh_token: str) -> dict[str, str]:
    return await token(service, grant_type="refresh_token", refresh_token=refresh_token)


async def ended(service: ServiceProcess, refresh_token: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"http://{service.http_address}/oauth/revoke", data={"token": refresh_token}) as answer,
    ):
        assert answer.status == 200


@pytest.mark.row("B15")
async def test_a_backup_is_restored_as_the_page_says_and_everybody_is_signed_out(tmp_path: Path) -> None:
    def type_(steps: list[tuple[str, str]]) -> None:
        typed(steps, where=str, folder=tmp_path, at_least=2)

    async with ServiceProcess({"AUTH_DATA_DIR": str(tmp_path / ".auth-service")}) as service:
        goes_on, is_ended = await signed_in(service), await signed_in(service)
        type_(list(BACK_UP))
        ahead = (await refreshed(service, goes_on))["refresh_token"]
        unknown = await signed_in(service)
        await ended(service, is_ended)
        await service.terminate()

        type_(list(RESTORE))
        await service.start()

        assert "newer than this service's records" in (await refreshed(service, ahead))["error_description"]
        assert (await refreshed(service, unknown))["error"] == "invalid_grant"
        assert "refresh.ahead" in service.log
        undone = (await refreshed(service, is_ended))["refresh_token"]
        await service.terminate()

        type_(list(SIGN_EVERYBODY_OUT))
        await service.start()

        for refresh_token in (goes_on, undone):
            assert (await refreshed(service, refresh_token))["error"] == "invalid_grant"
        assert await signed_in(service)


@pytest.mark.row("B15")
async def test_a_lost_key_encryption_key_costs_the_sessions_and_two_rotations(tmp_path: Path) -> None:
    home = tmp_path / ".auth-service"
    async with ServiceProcess({"AUTH_DATA_DIR": str(home)}) as service:
        before = await signed_in(service)
        await service.terminate()
        rotate = ("auth-service keys rotate", "… signs now; … is the next; ring version …")
        anew = ("openssl rand -base64 32 > .auth-service/key-encryption-key", "")

        typed([anew, rotate, rotate], where=str, folder=tmp_path, at_least=3)
        await service.start()

        assert (await refreshed(service, before))["error"] == "invalid_grant"
        assert await signed_in(service)
