"""What the timers of signing keys must not be together: a key that signs before verifiers know it refuses people."""

from datetime import timedelta

from auth_service.settings.model import Settings
from auth_service.settings.values import typed

KEY_SET_MAX_AGE = timedelta(minutes=5)
"""As `domain.keys` has it, which settings do not import; a test holds that it is the same."""

SOONEST_ROTATION = 2 * KEY_SET_MAX_AGE + timedelta(minutes=5)
"""Twice the key set's max-age and five minutes for a verifier that is late: before that, rotating refuses people."""


def problems_with_keys(settings: Settings) -> list[str]:
    """Lines of `VARIABLE: what was expected`."""
    problems = []
    if settings.key_size not in (2048, 3072, 4096):
        problems.append(f"AUTH_KEY_SIZE: expected 2048, 3072 or 4096, got {settings.key_size}")
    if settings.key_rotate_every < settings.key_publish_ahead:
        problems.append(
            f"AUTH_KEY_ROTATE_EVERY: {typed(settings.key_rotate_every)} is shorter than AUTH_KEY_PUBLISH_AHEAD"
            f" ({typed(settings.key_publish_ahead)}): a key would be due before verifiers know it"
        )
    if settings.signer_lease < 4 * settings.poll_every:
        problems.append(
            f"AUTH_SIGNER_LEASE: {typed(settings.signer_lease)} is shorter than four times AUTH_POLL_EVERY"
            f" ({typed(settings.poll_every)}): a late poll would stop sign-in"
        )
    return problems + _too_soon_for_consumers(settings)


def unsafe_keys(settings: Settings) -> list[str]:
    """What the production profile does not start with."""
    problems = []
    if settings.key_publish_ahead < SOONEST_ROTATION + settings.clock_skew:
        problems.append(
            f"AUTH_KEY_PUBLISH_AHEAD: {typed(settings.key_publish_ahead)} is shorter than twice the key set's max-age"
            f" (5m each), 5m and AUTH_CLOCK_SKEW ({typed(settings.clock_skew)}) together: verifiers would refuse"
            " tokens of a new key"
        )
    if settings.key_encryption_keys is None:
        problems.append("AUTH_KEY_ENCRYPTION_KEYS: expected base64 of 32 bytes (openssl rand -base64 32)")
    return problems


def warnings_about_keys(settings: Settings) -> list[str]:
    warnings = []
    if settings.key_publish_ahead > settings.key_consumer_window and settings.key_rotation_patience:
        warnings.append(
            f"AUTH_KEY_CONSUMER_WINDOW is {typed(settings.key_consumer_window)}, shorter than AUTH_KEY_PUBLISH_AHEAD"
            f" ({typed(settings.key_publish_ahead)}): whoever was seen within it has fetched since the next key was"
            " published, and nobody who fell silent before is waited for"
        )
    if not settings.key_consumers and settings.key_publish_ahead < timedelta(minutes=25):
        warnings.append(
            f"AUTH_KEY_PUBLISH_AHEAD is {typed(settings.key_publish_ahead)}: verifiers that refetch the key set every"
            " 20 minutes (Istio) will refuse tokens after a rotation"
        )
    return warnings


def _too_soon_for_consumers(settings: Settings) -> list[str]:
    """What does not go with the slowest of the declared consumers."""
    if not settings.key_consumers:
        return []
    name, refresh = max(settings.key_consumers.items(), key=lambda each: each[1])
    needed = refresh + KEY_SET_MAX_AGE + settings.clock_skew
    problems = []
    if settings.key_publish_ahead < needed:
        problems.append(
            f"AUTH_KEY_PUBLISH_AHEAD: {typed(settings.key_publish_ahead)} is shorter than {typed(needed)}: {name} of"
            f" AUTH_KEY_CONSUMERS fetches every {typed(refresh)}, what it gets may be {typed(KEY_SET_MAX_AGE)} old,"
            f" and clocks differ by AUTH_CLOCK_SKEW ({typed(settings.clock_skew)})"
        )
    if settings.key_consumer_window < refresh + KEY_SET_MAX_AGE:
        problems.append(
            f"AUTH_KEY_CONSUMER_WINDOW: {typed(settings.key_consumer_window)} is shorter than"
            f" {typed(refresh + KEY_SET_MAX_AGE)}: {name} of AUTH_KEY_CONSUMERS fetches every {typed(refresh)},"
            " and would be taken for gone in between"
        )
    return problems
