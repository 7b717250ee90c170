"""Whoever wants to go deletes their account, with their password, and is told first what that means."""

import asyncio
from typing import Any

import pytest

from auth_service.demo import Facility
from tests.pages.browser import PASSWORD, Answer, Browser
from tests.pages.browser import administrator as browser_of
from tests.rpc.conftest import Start
from tests.support.administering import administrator, new_name, signed_in
from tests.support.service import ADMIN, Service, refusal

PAGE = "/account/delete"
ACTIVE, DELETED = 1, 3


async def somebody(service: Service, **fields: Any) -> tuple[Browser, str, str]:
    """A person of ours, signed in; their id and user name."""
    person = await (await administrator(service)).create(password=PASSWORD, **fields)
    browser = Browser(service)
    await browser.sign_in(person.username, PASSWORD)
    return browser, person.user_id, person.username


async def state_of(service: Service, person_id: str) -> int:
    return (await (await administrator(service)).get(person_id)).state


@pytest.mark.row("E7")
async def test_whoever_leaves_is_told_what_it_means_and_is_out_everywhere(service: Service) -> None:
    address = f"{new_name()}@example.org"
    browser, person_id, name = await somebody(service, email=address, email_verified=True)
    elsewhere = await signed_in(service, name, PASSWORD)

    assert f'href="{PAGE}"' in (await browser.open("/account")).text
    asked = await browser.open(PAGE)
    for told in ("signed out everywhere", f"<strong>{name}</strong>", f"<strong>{address}</strong>", "no way back"):
        assert told in asked.text
    assert await state_of(service, person_id) == ACTIVE
    done = await browser.fill(PAGE, password=PASSWORD)

    assert (done.status, done.location) == (303, "/sign-in?deleted=1")
    assert not browser.cookies.keys() & {"access_token", "refresh_token"}
    assert "Your account is deleted" in (await browser.open(done.location)).text
    assert await state_of(service, person_id) == DELETED
    assert (await refusal(service.verify(elsewhere.token))).reason == "TOKEN_REVOKED"
    assert (await browser.fill("/sign-in", username=name, password=PASSWORD)).status == 422


@pytest.mark.row("E7")
async def test_only_the_present_password_deletes_an_account(service: Service) -> None:
    browser, person_id, _ = await somebody(service)

    wrong = await browser.fill(PAGE, password="not it at all")
    none = await browser.fill(PAGE, password="")

    assert (wrong.status, "Your present password is wrong." in wrong.text) == (422, True)
    assert "not it at all" not in wrong.text
    assert (none.status, 'aria-invalid="true"' in none.text) == (422, True)
    assert await state_of(service, person_id) == ACTIVE


@pytest.mark.row("S69")
@pytest.mark.parametrize("spoilt", ["no token", "another session's token", "another site", "a neighbour"])
async def test_no_other_page_deletes_an_account(service: Service, spoilt: str) -> None:
    browser, person_id, _ = await somebody(service)
    stranger, _, _ = await somebody(service)
    fields = (await browser.open(PAGE)).form().fields | {"password": PASSWORD}
    headers = {"another site": {"Sec_Fetch_Site": "cross-site"}, "a neighbour": {"Sec_Fetch_Site": "same-site"}}
    if spoilt == "no token":
        del fields["form_token"]
    elif spoilt == "another session's token":
        fields["form_token"] = (await stranger.open(PAGE)).form().fields["form_token"]

    answer = await browser.send(PAGE, fields, **headers.get(spoilt, {}))

    assert answer.status == 403
    assert PASSWORD not in answer.text
    assert await state_of(service, person_id) == ACTIVE


@pytest.mark.row("E14/REST")
async def test_guessing_the_password_on_the_page_is_as_slow_as_at_sign_in(start: Start) -> None:
    service = await start(failures_here="2", failures_per_account="4", failures_per_address="30")
    browser, person_id, _ = await somebody(service)
    for _ in range(2):
        await browser.fill(PAGE, password="guessed by nobody")

    answer = await browser.fill(PAGE, password=PASSWORD)

    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (429, True)
    assert "Too many failed attempts" in answer.text
    assert await state_of(service, person_id) == ACTIVE


@pytest.mark.row("E10")
async def test_the_last_administrator_is_told_why_they_stay(start: Start) -> None:
    service = await start()
    browser = await browser_of(service)

    refused = await browser.fill(PAGE, password=PASSWORD)

    assert (refused.status, "Nobody would be left who administers this service." in refused.text) == (409, True)
    assert (await browser.open("/account")).status == 200
    await signed_in(service, ADMIN, PASSWORD)


async def test_a_button_that_is_pressed_twice_deletes_once_and_says_nothing_wrong(service: Service) -> None:
    browser, person_id, _ = await somebody(service)
    fields = (await browser.open(PAGE)).form().fields | {"password": PASSWORD}

    async def sent() -> Answer:
        return await Browser(service, dict(browser.cookies)).send(PAGE, fields)

    answers = await asyncio.gather(sent(), sent())

    assert {each.status for each in answers} == {303}
    assert sum(each.location == "/sign-in?deleted=1" for each in answers) == 1
    assert all(each.location.startswith("/sign-in?") for each in answers)
    assert await state_of(service, person_id) == DELETED


async def test_that_an_account_is_deleted_is_not_said_to_somebody_who_is_signed_in(service: Service) -> None:
    browser, _, _ = await somebody(service)

    page = await browser.open("/sign-in?deleted=1&signed-out=1")

    assert "Your account is deleted" not in page.text
    assert "You are signed out." not in page.text


async def test_a_person_of_the_facility_leaves_with_the_facilitys_password(start: Start, facility: Facility) -> None:
    service = await start()
    facility.knows("leaver", "leaver-password", number=4714)
    browser = Browser(service)
    await browser.sign_in("leaver")

    asked = await browser.open(PAGE)
    assert "What the facility knows of you stays as it is." in asked.text
    facility.fault = {"/": "status 500"}
    try:
        away = await browser.fill(PAGE, password="leaver-password")
    finally:
        facility.fault = {}
    wrong = await browser.fill(PAGE, password="not it")
    done = await browser.fill(PAGE, password="leaver-password")

    assert (away.status, "does not answer. Your password may well be right." in away.text) == (503, True)
    assert (wrong.status, done.location) == (422, "/sign-in?deleted=1")
    assert (await browser.fill("/sign-in", username="leaver", password="leaver-password")).status == 422
