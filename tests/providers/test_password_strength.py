"""Which passwords are too easy to guess, and what people are told."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth_service.domain.errors import InvalidInput, Overloaded
from auth_service.providers import password_strength
from auth_service.providers.password_strength import PasswordRules

WORDS = ("ada.lovelace", "Ada Lovelace", "ada@analytical.example")

COMMON = """
    123456 password 12345678 qwerty 123456789 12345 1234 111111 1234567 dragon 123123 baseball abc123 football monkey
    letmein shadow master 696969 michael mustang 666666 qwertyuiop 123321 1234567890 superman 270 654321 1qaz2wsx
    7777777 121212 000000 qazwsx 123qwe killer trustno1 jordan jennifer zxcvbnm asdfgh hunter buster soccer harley
    batman andrew tigger sunshine iloveyou 2000 charlie robert thomas hockey ranger daniel starwars 112233 george
    computer michelle jessica pepper 1111 zxcvbn 555555 11111111 131313 freedom 777777 pass maggie 159753 aaaaaa
    ginger princess joshua cheese amanda summer love ashley 6969 nicole chelsea matthew access yankees 987654321
    dallas austin thunder taylor matrix
""".split()  # noqa: SIM905 -- a list of ninety would take ninety lines


def rules(shortest: int = 15) -> PasswordRules:
    return PasswordRules(shortest=shortest, service_words=("https://auth.facility.example",))


async def refused(password: str, *, shortest: int = 15, field: str = "password") -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        await rules(shortest).check(password, field=field, words=WORDS)
    return [(each.field, each.expected) for each in caught.value.violations]


@pytest.mark.row("E8", "S56")
@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "vier kleine schwarze Katzen",
        "кошка спит на тёплой крыше",
        "Xk7#pQ2!vR9$mL4@w",
        "4@8({[<3691!|70$5+%2",
        "a long sentence that I like " * 30,
        "83610274951836402",
    ],
)
async def test_what_is_hard_to_guess_may_be_chosen_whatever_it_is_made_of(password: str) -> None:
    assert await rules().check(password, field="password", words=WORDS) == password


@pytest.mark.row("E8", "S56")
@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "password12345678",
        "P@ssw0rd!P@ssw0rd!",
        "qwertyuiopasdfgh",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abcdefghijklmnopqrstuvwxyz",
        "123456789012345",
    ],
)
async def test_what_everybody_guesses_is_refused(password: str) -> None:
    assert await refused(password)


@pytest.mark.row("E8", "S56")
@pytest.mark.parametrize(
    "password",
    [
        "ada.lovelace1815",
        "LovelaceLovelace",
        "ada@analytical.example",
        "analytical.example-1",
        "auth.facility.example1",
    ],
)
async def test_what_the_person_or_the_service_is_called_is_easy_to_guess(password: str) -> None:
    assert await refused(password)


@pytest.mark.row("S56")
async def test_common_passwords_are_refused_as_they_are_and_padded() -> None:
    for common in COMMON:
        for spelt in (common, common.upper(), common + "1", common + "!", common[::-1], common * 4):
            if len(spelt) >= 8:
                assert await refused(spelt, shortest=8), spelt


@pytest.mark.row("E8")
async def test_advice_comes_with_the_field_that_was_sent() -> None:
    told = await refused("password12345678", field="new_password")

    assert {field for field, _ in told} == {"new_password"}
    assert told[0][1] == "expected one that is harder to guess"
    assert any("word" in expected for _, expected in told[1:])
    assert not any("password12345678" in expected for _, expected in told)


@pytest.mark.row("S56")
async def test_the_shortest_is_a_setting() -> None:
    assert await refused("Xk7#pQ2!") == [("password", "expected 15 to 1024 characters")]
    assert await rules(shortest=8).check("Xk7#pQ2!vR", field="password") == "Xk7#pQ2!vR"


@pytest.mark.row("S55")
async def test_a_crowd_that_chooses_passwords_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_strength, "MOST_WAITING", 3)
    judging = rules()

    told = await asyncio.gather(
        *(judging.check(f"Xk7#pQ2!vR9$mL4@w{number}", field="password") for number in range(5)), return_exceptions=True
    )

    assert [type(each) for each in told] == [str, str, str, Overloaded, Overloaded]
    assert await judging.check("Xk7#pQ2!vR9$mL4@w", field="password")


@pytest.mark.row("S55")
async def test_callers_who_leave_at_once_have_no_more_than_one_judged() -> None:
    judging, threads, is_their_turn = rules(), Counting(1), threading.Event()
    asyncio.get_running_loop().set_default_executor(threads)
    busy = threads.submit(is_their_turn.wait)
    callers = [
        asyncio.create_task(judging.check(f"Xk7#pQ2!vR9$mL4@w{number}", field="password")) for number in range(5)
    ]

    for each in callers:
        for _ in range(5):
            await asyncio.sleep(0)
        each.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    given = threads.given
    is_their_turn.set()

    assert given == 2
    assert await asyncio.wrap_future(busy)
    assert await judging.check("Xk7#pQ2!vR9$mL4@w", field="password")
    assert threads.given == 3


class Counting(ThreadPoolExecutor):
    """`given` is how much it was given to do so far."""

    given = 0

    def submit(self, *what: Any, **more: Any) -> Any:
        self.given += 1
        return super().submit(*what, **more)


async def test_a_password_made_to_be_slow_to_judge_is_not() -> None:
    """A hundred of these signs take the estimator three seconds, and the whole interpreter with it."""
    began = time.process_time()

    await rules().check("4@8({[<3691!|70$5+%2" * 50, field="password", words=WORDS)

    assert time.process_time() - began < 1.0
