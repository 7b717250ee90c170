"""The notices about maintenance, as administrators set them on a page."""

import pytest

from tests.pages.browser import PASSWORD, administrator
from tests.support.service import ADMIN, Service

PATH = "/admin/maintenance"


async def told(service: Service, path: str) -> tuple[bool, str]:
    async with service.http.get(path) as answer:
        notice = await answer.json()
        return notice["show"], notice["message"]


@pytest.mark.row("A15")
async def test_a_notice_that_is_set_on_the_page_is_told_to_everybody(service: Service) -> None:
    browser = await administrator(service)
    form = (await browser.open(PATH)).forms[-1]
    assert form.action == f"{PATH}/scheduled_maintenance"

    sent = form.fields | {"scheduled_maintenance_message": "Down on <Monday>\r\nfor an hour", "show": "yes"}
    done = await browser.send(form.action, sent)

    assert (done.status, done.location) == (303, PATH)
    assert await told(service, "/scheduled_maintenance") == (True, "Down on <Monday>\nfor an hour")
    page = await browser.open(PATH)
    assert "Down on &lt;Monday&gt;" in page.text
    assert "A notice is shown: Down on &lt;Monday&gt;" in (await browser.open("/admin")).text
    await browser.send(form.action, form.fields)
    assert (await told(service, "/scheduled_maintenance"))[0] is False


async def test_a_notice_that_says_nothing_is_not_shown(service: Service) -> None:
    browser = await administrator(service)
    form = (await browser.open(PATH)).form(f"{PATH}/maintenance")

    answer = await browser.send(form.action, form.fields | {"maintenance_message": "  ", "show": "yes"})

    assert answer.status == 422
    assert 'id="maintenance_message-problem"' in answer.text
    assert 'id="scheduled_maintenance_message-problem"' not in answer.text
    assert (await told(service, "/maintenance"))[0] is False


async def test_there_are_two_notices_and_no_third(service: Service) -> None:
    browser = await administrator(service)
    form = (await browser.open(PATH)).form(f"{PATH}/maintenance")

    assert (await browser.send(f"{PATH}/party", form.fields | {"show": "yes"})).status == 404


async def test_whoever_had_to_sign_in_meanwhile_comes_back_to_the_notices(service: Service) -> None:
    browser = await administrator(service)
    form = (await browser.open(PATH)).form(f"{PATH}/maintenance")
    await service.logout(browser.cookies["refresh_token"])

    sent = await browser.send(form.action, form.fields)
    page = await browser.open(sent.location)
    signed_in = await browser.send(page.form().action, page.form().fields | {"username": ADMIN, "password": PASSWORD})
    back = await browser.open(signed_in.location)

    assert "what you sent was not done" in page.text
    assert (back.status, back.location) == (303, PATH)
