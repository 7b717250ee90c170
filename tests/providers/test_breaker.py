"""The circuit breaker, with a clock that stands still."""

import asyncio
from datetime import timedelta

import pytest

from auth_service.domain.errors import BadCredentials, ProviderUnavailable
from auth_service.providers.breaker import Breaker, UnusableForOne
from tests.providers.clock import Clock


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("UOWS", failures=5, probe_every=timedelta(seconds=10), clock=clock)


def fail(breaker: Breaker) -> timedelta:
    with pytest.raises(ProviderUnavailable, match="broken") as failure, breaker.watching():
        raise ProviderUnavailable("broken")
    return failure.value.retry_after


def succeed(breaker: Breaker) -> None:
    with breaker.watching():
        pass


def abandon(breaker: Breaker, clock: Clock, *, after: float) -> None:
    call = breaker.watching()
    call.__enter__()
    clock.advance(after)
    assert not call.__exit__(asyncio.CancelledError, None, None)


def answer_in_vain(breaker: Breaker) -> None:
    with pytest.raises(UnusableForOne), breaker.watching():
        raise UnusableForOne


def assert_refuses(breaker: Breaker) -> timedelta:
    with pytest.raises(ProviderUnavailable, match="is not answering") as refusal:
        succeed(breaker)
    return refusal.value.retry_after


def opened(breaker: Breaker) -> Breaker:
    for _ in range(5):
        fail(breaker)
    return breaker


def test_five_consecutive_failures_open_it(breaker: Breaker) -> None:
    was_open = []
    for _ in range(5):
        fail(breaker)
        was_open.append(breaker.is_open)

    assert was_open == [False, False, False, False, True]
    assert assert_refuses(breaker) == timedelta(seconds=10)


def test_a_success_in_between_starts_the_count_again(breaker: Breaker) -> None:
    for _ in range(4):
        fail(breaker)
    succeed(breaker)
    for _ in range(4):
        fail(breaker)

    assert not breaker.is_open


def test_a_wrong_password_is_a_success(breaker: Breaker) -> None:
    for _ in range(4):
        fail(breaker)

    with pytest.raises(BadCredentials), breaker.watching():
        raise BadCredentials
    fail(breaker)

    assert not breaker.is_open


def test_a_wrong_password_answered_to_the_probe_closes_it(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(10)

    with pytest.raises(BadCredentials), breaker.watching():
        raise BadCredentials

    assert not breaker.is_open


def test_refusals_tell_when_the_next_probe_is_due(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(7)

    assert assert_refuses(breaker) == timedelta(seconds=3)

    clock.advance(2.9)

    assert assert_refuses(breaker) == timedelta(seconds=1)


def test_one_probe_every_ten_seconds(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)

    for _ in range(3):
        clock.advance(9.9)
        assert_refuses(breaker)
        clock.advance(0.1)
        fail(breaker)
        assert_refuses(breaker)


def test_half_open_admits_one(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(10)

    with breaker.watching():
        assert_refuses(breaker)
        clock.advance(100)
        assert_refuses(breaker)

    succeed(breaker)
    assert not breaker.is_open


def test_a_successful_probe_closes_it_and_five_failures_are_needed_again(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(10)
    succeed(breaker)

    for _ in range(4):
        fail(breaker)

    assert not breaker.is_open


@pytest.mark.parametrize("interruption", [asyncio.CancelledError, KeyboardInterrupt, KeyError])
def test_after_a_probe_without_a_verdict_the_interval_stands(
    breaker: Breaker, clock: Clock, interruption: type[BaseException]
) -> None:
    opened(breaker)
    clock.advance(10)

    with pytest.raises(interruption), breaker.watching():
        raise interruption

    assert assert_refuses(breaker) == timedelta(seconds=10)
    clock.advance(10)
    succeed(breaker)
    assert not breaker.is_open


def test_calls_abandoned_soon_are_no_failures(breaker: Breaker, clock: Clock) -> None:
    for _ in range(10):
        abandon(breaker, clock, after=0.7)

    assert not breaker.is_open


def test_calls_abandoned_after_a_long_wait_are_failures(breaker: Breaker, clock: Clock) -> None:
    for _ in range(5):
        assert not breaker.is_open
        abandon(breaker, clock, after=0.95)

    assert assert_refuses(breaker) == timedelta(seconds=10)


def test_what_is_wrong_with_one_person_says_nothing_of_the_system(breaker: Breaker) -> None:
    for _ in range(10):
        answer_in_vain(breaker)
    assert not breaker.is_open

    for _ in range(4):
        fail(breaker)
    answer_in_vain(breaker)
    fail(breaker)

    assert breaker.is_open


def test_a_probe_that_is_answered_closes_it_though_the_answer_is_of_no_use(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(10)

    answer_in_vain(breaker)

    assert not breaker.is_open


def test_who_finds_it_broken_is_told_when_the_next_probe_is_due(breaker: Breaker, clock: Clock) -> None:
    told = [fail(breaker).total_seconds() for _ in range(5)]
    clock.advance(10)

    assert told == [1, 1, 1, 1, 10]
    assert fail(breaker) == timedelta(seconds=10)


def test_calls_from_before_it_opened_neither_close_it_nor_delay_the_probe(breaker: Breaker, clock: Clock) -> None:
    slow_success, slow_failure = breaker.watching(), breaker.watching()
    slow_success.__enter__()
    slow_failure.__enter__()
    opened(breaker)
    clock.advance(9)

    slow_success.__exit__(None, None, None)
    error = ProviderUnavailable("broken")
    slow_failure.__exit__(type(error), error, None)

    assert breaker.is_open
    clock.advance(1)
    succeed(breaker)
