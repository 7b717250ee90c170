"""Timers of keys: a key signs when verifiers know it."""

from pathlib import Path

import pytest

from auth_service.domain.keys import KEY_SET_MAX_AGE as OF_THE_KEY_SET
from auth_service.settings import described, load
from auth_service.settings.keys import KEY_SET_MAX_AGE
from tests.settings.given import embedded, problems, warnings


def test_keys_published_too_late_for_slow_verifiers_are_told(tmp_path: Path) -> None:
    (said,) = warnings({"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_PUBLISH_AHEAD": "20m"})

    assert said.startswith("AUTH_KEY_PUBLISH_AHEAD is 20m: ")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"AUTH_KEY_CONSUMERS": "envoy,istio", "AUTH_KEY_PUBLISH_AHEAD": "25m"},
            "AUTH_KEY_PUBLISH_AHEAD: 25m is shorter than 26m: istio of AUTH_KEY_CONSUMERS fetches",
        ),
        (
            {"AUTH_KEY_CONSUMERS": "pyjwt,slow=30h"},
            "AUTH_KEY_PUBLISH_AHEAD: 1d is shorter than 1806m: slow of AUTH_KEY_CONSUMERS",
        ),
        (
            {"AUTH_KEY_CONSUMERS": "istio", "AUTH_KEY_CONSUMER_WINDOW": "20m"},
            "AUTH_KEY_CONSUMER_WINDOW: 20m is shorter than 25m: istio of AUTH_KEY_CONSUMERS fetches every",
        ),
        ({"AUTH_KEY_CONSUMERS": "envoi"}, "AUTH_KEY_CONSUMERS: expected of auth-client, envoy, istio, "),
        ({"AUTH_KEY_CONSUMERS": "Gateway=5m"}, "AUTH_KEY_CONSUMERS: expected of auth-client, envoy, istio, "),
        ({"AUTH_KEY_CONSUMERS": "gateway=5"}, "AUTH_KEY_CONSUMERS: expected a number with a unit"),
        ({"AUTH_KEY_CONSUMERS": "envoy,envoy=1h"}, "AUTH_KEY_CONSUMERS: expected each name once"),
    ],
)
def test_keys_are_published_long_enough_before_they_sign_for_the_slowest_consumer(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path), **variables})

    assert problem.startswith(said)


def test_declared_consumers_are_shown_with_how_often_they_fetch(tmp_path: Path) -> None:
    settings = embedded(tmp_path, AUTH_KEY_CONSUMERS="envoy, gateway=15m", AUTH_KEY_PUBLISH_AHEAD="21m")

    shown = {name: value for name, value, _ in described(settings)}["AUTH_KEY_CONSUMERS"]

    assert shown == "envoy=10m, gateway=15m"
    # What is declared is known: nobody guesses that there may be slower ones.
    assert not load({"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_CONSUMERS": "envoy", "AUTH_KEY_PUBLISH_AHEAD": "21m"})[1]


def test_a_window_that_is_shorter_than_publishing_ahead_is_worth_a_warning(tmp_path: Path) -> None:
    short = {"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_CONSUMER_WINDOW": "12h"}

    (said,) = load(short)[1]

    assert said.startswith("AUTH_KEY_CONSUMER_WINDOW is 12h, shorter than AUTH_KEY_PUBLISH_AHEAD (1d)")
    assert not load({**short, "AUTH_KEY_ROTATION_PATIENCE": "0s"})[1]


def test_settings_reckon_with_the_max_age_that_the_key_set_has() -> None:
    assert KEY_SET_MAX_AGE == OF_THE_KEY_SET
