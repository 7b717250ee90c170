"""The audit log on the admin page: found by what is asked for, and as it grows."""

import re

import pytest

from tests.pages.browser import Answer, Browser, administrator
from tests.rpc.conftest import Start
from tests.support.service import Service

PATH = "/admin/audit"


def events(page: Answer) -> list[str]:
    """Their lines, newest first."""
    summaries = re.findall(r"<summary>(?!Filter)(.*?)</summary>", page.text, re.DOTALL)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", each)).strip() for each in summaries]


def ids(page: Answer) -> list[str]:
    return re.findall(r'<li id="event-([0-9a-f-]{36})">', page.text)


@pytest.mark.row("E17", "D6/REST")
async def test_events_are_found_by_type_outcome_person_and_call(service: Service) -> None:
    browser = await administrator(service)
    answer = await Browser(service).fill("/sign-in", username="root@facility.example", password="not it at all")
    assert answer.status == 422

    refused = await browser.open(f"{PATH}?type=session.&outcome=refused&subject=Root@Facility.example")
    assert events(refused)
    assert all("Tried to sign in refused" in each and "on root@facility.example" in each for each in events(refused))
    call = re.findall(r"\?call=([^\"]+)\"", refused.text)[0]
    of_call = await browser.open(f"{PATH}?call={call}")
    assert [each.split(" ", 4)[-1] for each in events(of_call)] == [each.split(" ", 4)[-1] for each in events(refused)][
        :1
    ]
    of_service = events(await browser.open(f"{PATH}?subject=portal"))
    assert of_service
    assert all(each.endswith("on portal") for each in of_service)
    person = re.findall(r"\?subject=([0-9a-f-]{36})", refused.text)[0]
    by_id = await browser.open(f"{PATH}?type=session.started&actor={person}")
    assert events(by_id)
    assert not events(await browser.open(f"{PATH}?until=2020-01-01T00:00"))
    assert events(await browser.open(f"{PATH}?since=2020-01-01T00:00"))
    assert events(await browser.open(f"{PATH}?since=0001-01-01&until=9999-12-31T23:59"))
    assert "Nothing like that happened." in (await browser.open(f"{PATH}?until=2020-01-01T00:00")).text


async def test_pages_follow_one_another_without_gap_or_repetition(start: Start) -> None:
    service = await start()
    browser = await administrator(service)
    for number in range(60):
        await browser.fill("/admin/service-accounts/new", name=f"one-of-many-{number}")

    seen: list[str] = []
    path = f"{PATH}?type=service_account.created&actor=root%40facility.example"
    while path:
        page = await browser.open(path)
        seen += ids(page)
        later = re.findall(r'<a href="([^"]+)">Earlier events</a>', page.text)
        path = later[0].replace("&amp;", "&") if later else ""

    assert (len(seen), len(set(seen))) == (60, 60)


async def test_what_is_new_is_told_and_what_is_not_costs_an_empty_answer(service: Service) -> None:
    browser = await administrator(service)
    page = await browser.open(PATH)
    tag = re.findall(r'data-tag="([^"]+)"', page.text)[0].replace("&#34;", '"')

    same = await browser.open(f"{PATH}/events", **{"If-None-Match": tag})
    await service.login("user1001")
    grown = await browser.open(f"{PATH}/events", **{"If-None-Match": tag})

    assert (same.status, same.text) == (304, "")
    assert grown.status == 200
    assert grown.headers["ETag"] != tag
    assert events(grown)[0].endswith("Signed in user1001 127.0.0.1")
    assert "<html" not in grown.text


@pytest.mark.parametrize(
    "query",
    [
        "type=no.such",
        "type=%00",
        "outcome=perhaps",
        "since=yesterday",
        "until=0000-00-00",
        "since=99999-01-01T00:00",
        "since=0001-01-01T00:00%2B14:00",
        "actor=nobody-is-called-so",
        "subject=%3Cscript%3E",
        "page=forged",
        "call=%0d%0a",
        "call=" + "x" * 3000,
    ],
)
async def test_a_filter_that_cannot_be_is_said_and_shown_again(service: Service, query: str) -> None:
    browser = await administrator(service)

    page, alone = await browser.open(f"{PATH}?{query}"), await browser.open(f"{PATH}/events?{query}")

    # A request id that was never given is no mistake: nothing has it.
    assert page.status in ({200} if query == "call=%0d%0a" else {400, 422})
    assert "Please mend the filter" in page.text or page.status == 200
    assert alone.status < 500
    assert "<script>" not in page.text


async def test_what_strangers_write_is_text(service: Service) -> None:
    await Browser(service).fill("/sign-in", username="<b>", password="x")
    browser = await administrator(service)

    page = await browser.open(f"{PATH}?outcome=refused")

    assert "<b>" not in page.text


async def test_without_scripts_there_is_no_pause_for_nothing_to_pause(service: Service) -> None:
    browser = await administrator(service)

    page = await browser.open(PATH)

    assert re.search(r'<div class="row" id="live" hidden>', page.text)
    assert 'id="live"' not in (await browser.open(f"{PATH}?until=2030-01-01T00:00")).text
