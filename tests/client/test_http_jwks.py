"""Security bar, section 8: keys over HTTP. Time stands still unless a test moves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from auth_client import HttpJwks, KeysUnavailable, TokenInvalid, TokenVerifier

from tests.client.jwks_endpoint import FAULTS, Clock, JwksEndpoint, elsewhere
from tests.client.minting import claims, header, sign, token, verifier


@asynccontextmanager
async def keys_from(
    endpoint: JwksEndpoint, clock: Clock, *, timeout: timedelta = timedelta(seconds=5)
) -> AsyncIterator[HttpJwks]:
    source = HttpJwks(endpoint.url, clock=clock, call_later=clock.call_later, timeout=timeout)
    try:
        yield source
    finally:
        await source.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[JwksEndpoint]:
    async with JwksEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def clock() -> Clock:
    return Clock()


def token_of(name: str) -> str:
    return sign(header(kid=name), claims(), key=name)


async def refused(checker: TokenVerifier, text: str) -> str:
    with pytest.raises(TokenInvalid) as error:
        await checker.verify(text)
    return error.value.reason


async def settle(source: HttpJwks) -> None:
    """Until the fetch under way is over."""
    if source._fetching is not None:
        await asyncio.wait((source._fetching,))


@pytest.mark.row("S84")
async def test_crowd_at_a_cold_start_causes_one_fetch(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)

        verified = await asyncio.gather(*(checker.verify(token()) for _ in range(100)))

    assert len(verified) == 100
    assert endpoint.hits == 1


async def test_without_keys_verify_now_has_no_verdict(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        with pytest.raises(KeysUnavailable):
            verifier(keys=source).verify_now(token())

    assert endpoint.hits == 0


async def test_context_manager_comes_with_keys(endpoint: JwksEndpoint) -> None:
    async with HttpJwks(endpoint.url) as source:
        assert verifier(keys=source).verify_now(token())


async def test_what_was_closed_fetches_again_where_it_is_entered_again(endpoint: JwksEndpoint) -> None:
    source = HttpJwks(endpoint.url)
    async with source:
        assert verifier(keys=source).verify_now(token())
    endpoint.names, endpoint.headers["ETag"] = ("second",), '"2"'

    async with source:
        assert verifier(keys=source).verify_now(token_of("second"))

    await source.refresh()
    assert endpoint.hits == 2


@pytest.mark.row("S85")
@pytest.mark.parametrize("fault", [None, "500", "connection dropped"])
async def test_unknown_kids_cause_one_fetch_per_cool_down(
    endpoint: JwksEndpoint, clock: Clock, fault: str | None
) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        await checker.verify(token())
        endpoint.fault = FAULTS[fault] if fault else None
        endpoint.hits = 0

        for _ in range(3):
            for name in ("second", "third", "fourth") * 20:
                assert await refused(checker, sign(header(kid=name), claims())) == "unknown_key"
            clock.now += 29 / 3  # Not pass_by: the retry after a failure is another matter.

        assert endpoint.hits == 1
        clock.now += 1.1
        assert await refused(checker, token_of("second")) == "unknown_key"
        assert endpoint.hits == 2
        assert checker.verify_now(token())


@pytest.mark.row("S85")
@pytest.mark.parametrize("fault", ["500", "connection dropped", "empty set"])
async def test_cold_and_failing_endpoint_is_asked_ever_more_rarely(
    endpoint: JwksEndpoint, clock: Clock, fault: str
) -> None:
    endpoint.fault = FAULTS[fault]
    moments = []
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        for _ in range(1200):
            before = endpoint.hits
            with pytest.raises(KeysUnavailable):
                await checker.verify(token())
            if endpoint.hits > before:
                moments.append(clock.now - 1000)
            clock.now += 0.05

        assert [round(moment, 1) for moment in moments] == pytest.approx(
            [0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5, 45.5, 55.5], abs=0.4
        )
        endpoint.fault = None
        clock.now += 10
        assert await checker.verify(token())


async def test_failing_endpoint_is_tried_again_without_being_asked(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        await source.refresh()
        endpoint.fault, endpoint.names, endpoint.headers["ETag"] = FAULTS["500"], ("first", "second"), '"2"'
        assert await refused(checker, token_of("second")) == "unknown_key"

        endpoint.fault = None
        clock.pass_by(10.6)
        await settle(source)

        assert checker.verify_now(token_of("second"))


@pytest.mark.row("S86")
async def test_hanging_endpoint_never_delays_a_token_whose_key_is_known(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        await checker.verify(token())
        endpoint.hangs = True
        clock.pass_by(260)  # Past 80 % of max-age and its spread: a fetch begins, and hangs.
        stranger = asyncio.create_task(checker.verify(token_of("second")))

        for _ in range(100):
            assert await checker.verify(token())
            await asyncio.sleep(0)

        assert not stranger.done()
        endpoint.names, endpoint.headers["ETag"] = ("first", "second"), '"2"'
        endpoint.release()
        assert (await stranger).key_id == "second"


async def test_fetch_that_hangs_ends_with_its_timeout(endpoint: JwksEndpoint, clock: Clock) -> None:
    endpoint.hangs = True
    async with keys_from(endpoint, clock, timeout=timedelta(milliseconds=20)) as source:
        with pytest.raises(KeysUnavailable, match=r"^no key set has been fetched yet from 127\.0\.0\.1: TimeoutError"):
            await verifier(keys=source).verify(token())

        assert source.health.error == "TimeoutError: there was no answer in time"


@pytest.mark.row("S88")
async def test_reply_that_drips_ends_with_the_timeout_too(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock, timeout=timedelta(milliseconds=100)) as source:
        await source.refresh()
        endpoint.drips = True
        await source.refresh()

        assert "TimeoutError" in str(source.health.error)
        assert verifier(keys=source).verify_now(token())


async def test_caller_that_gives_up_does_not_take_the_answer_away(endpoint: JwksEndpoint, clock: Clock) -> None:
    endpoint.hangs = True
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        impatient, patient = (asyncio.create_task(checker.verify(token())) for _ in range(2))
        await endpoint.reached.wait()

        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        endpoint.release()

        assert await patient
        assert endpoint.hits == 1


async def test_close_leaves_nobody_waiting(endpoint: JwksEndpoint, clock: Clock) -> None:
    endpoint.hangs = True
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        waiting = asyncio.create_task(checker.verify(token()))
        await endpoint.reached.wait()

        await source.close()

        with pytest.raises(KeysUnavailable):
            await waiting
        with pytest.raises(KeysUnavailable):
            await checker.verify(token())
    assert endpoint.hits == 1


@pytest.mark.row("S87", "S88")
@pytest.mark.parametrize("fault", FAULTS)
async def test_faulty_endpoint_changes_nothing(endpoint: JwksEndpoint, clock: Clock, fault: str) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        await checker.verify(token())
        endpoint.fault, endpoint.headers = FAULTS[fault], {}
        for _ in range(20):
            clock.pass_by(4250)
            await settle(source)
            assert await checker.verify(token())
        assert source.health.error is not None or fault == "304 unasked"


@pytest.mark.row("S88")
@pytest.mark.parametrize("fault", FAULTS)
async def test_faulty_endpoint_is_no_source_of_first_keys(endpoint: JwksEndpoint, clock: Clock, fault: str) -> None:
    endpoint.fault = FAULTS[fault]
    async with keys_from(endpoint, clock) as source:
        with pytest.raises(KeysUnavailable):
            await verifier(keys=source).verify(token())
        assert source.health.keys == 0


@pytest.mark.row("S88")
async def test_redirect_is_not_followed(endpoint: JwksEndpoint, clock: Clock) -> None:
    endpoint.fault = lambda request: elsewhere(request)
    async with keys_from(endpoint, clock) as source:
        await source.refresh()

    assert endpoint.hits == 1


@pytest.mark.row("S87")
async def test_keys_too_old_are_not_trusted_any_more(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source, cache_size=10)
        await checker.verify(token())
        endpoint.fault = FAULTS["500"]

        clock.now += 86_400
        assert checker.verify_now(token())
        clock.now += 1
        with pytest.raises(KeysUnavailable, match="too old"):
            checker.verify_now(token())
        with pytest.raises(KeysUnavailable, match="too old"):
            await checker.verify(token())

        endpoint.fault = None
        clock.now += 11
        assert await checker.verify(token())


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://x/y", "jwks.json", "http://", "//x/y", "data:,{}"])
def test_only_http_urls_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        HttpJwks(url)


async def test_endpoint_that_is_not_there_is_no_crash(clock: Clock) -> None:
    async with JwksEndpoint() as gone:
        pass
    async with keys_from(gone, clock) as source:
        with pytest.raises(KeysUnavailable):
            await verifier(keys=source).verify(token())


@pytest.mark.row("S89")
async def test_new_key_is_picked_up_at_once(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source)
        await checker.verify(token())

        endpoint.names, endpoint.headers["ETag"] = ("first", "second"), '"2"'

        assert (await checker.verify(token_of("second"))).key_id == "second"
        assert source.health.version == '"2"'


@pytest.mark.row("S89")
async def test_withdrawn_key_is_dropped_within_max_age_without_any_traffic(
    endpoint: JwksEndpoint, clock: Clock
) -> None:
    endpoint.names = ("first", "second")
    async with keys_from(endpoint, clock) as source:
        checker = verifier(keys=source, cache_size=10)
        await checker.verify(token_of("second"))

        endpoint.names, endpoint.headers["ETag"] = ("first",), '"2"'
        clock.pass_by(255)
        await settle(source)

        with pytest.raises(TokenInvalid):
            checker.verify_now(token_of("second"))


@pytest.mark.row("S89")
@pytest.mark.parametrize(
    ("cache_control", "age", "earliest", "latest"),
    [
        ("max-age=300", "", 228, 252),
        ("public, MAX-AGE = 60, stale-if-error=86400", "", 45, 51),
        ("max-age=300", "200", 76, 84),
        ("max-age=300", "nonsense", 228, 252),
        ("max-age=1", "", 7.6, 8.4),
        ("no-store", "", 7.6, 8.4),
        ("max-age=300, no-cache", "", 7.6, 8.4),
        ("max-age=99999999", "", 2736, 3024),
        ("", "", 228, 252),
        ("x-max-age=5", "", 228, 252),
    ],
)
async def test_next_fetch_comes_before_max_age_within_bounds(
    endpoint: JwksEndpoint, clock: Clock, cache_control: str, age: str, earliest: float, latest: float
) -> None:
    endpoint.headers = {"Cache-Control": cache_control, "Age": age, "ETag": '"1"'}
    async with keys_from(endpoint, clock) as source:
        await source.refresh()
        clock.pass_by(earliest - 0.1)
        await settle(source)
        assert endpoint.hits == 1

        clock.pass_by(latest - earliest + 0.2)
        await settle(source)
        assert endpoint.hits == 2


async def test_unchanged_set_is_not_sent_again(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        await source.refresh()
        keys = source.current()
        clock.now += 86_000
        await source.refresh()

        assert endpoint.conditions == ["", '"1"']
        assert source.current() is keys
        assert source.health.age == timedelta(0)
        clock.now += 86_000
        assert source.current() is keys


async def test_etag_that_cannot_be_sent_back_is_forgotten(endpoint: JwksEndpoint, clock: Clock) -> None:
    endpoint.headers["ETag"] = '"é"'
    async with keys_from(endpoint, clock) as source:
        await source.refresh()
        await source.refresh()

        assert endpoint.conditions == ["", ""]
        assert source.health.error is None


async def test_health_tells_age_error_and_version(endpoint: JwksEndpoint, clock: Clock) -> None:
    async with keys_from(endpoint, clock) as source:
        assert (source.health.age, source.health.error, source.health.version) == (None, None, "")
        await source.refresh()
        endpoint.fault = FAULTS["500"]
        clock.now += 5
        await source.refresh()

        health = source.health
        assert (health.age, health.version, health.keys) == (timedelta(seconds=5), '"1"', 1)
        assert health.error is not None
        assert "500" in health.error


def test_source_outlives_an_event_loop() -> None:
    async def use(source: HttpJwks, *, answers: bool) -> None:
        async with JwksEndpoint() as endpoint:
            endpoint.hangs = not answers
            source._ask = HttpJwks(endpoint.url)._ask
            asking = asyncio.create_task(verifier(keys=source).verify(token()))
            await endpoint.reached.wait()
            if answers:
                assert await asking
                await source.close()

    source = HttpJwks("http://127.0.0.1/")
    asyncio.run(use(source, answers=False))
    asyncio.run(use(source, answers=True))
