"""How hard a password is to guess, by zxcvbn: its dictionaries of common passwords, names and words, and the person's.

It refuses what a guesser finds within 10^8 tries (score 2 and less), and says what would be better.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from auth_service.domain.errors import FieldViolation, InvalidInput, Overloaded
from auth_service.domain.passwords import context_words, judged_part, new_password

LOWEST_SCORE = 3
"""Of 0 to 4: takes 10^8 guesses or more."""

MOST_WAITING = 128
"""Passwords that are judged or wait for it: at 20 ms each the last one waits for less than a call's deadline."""


@dataclass(frozen=True, slots=True)
class Estimate:
    score: int
    advice: tuple[str, ...]


class PasswordRules:
    """What a password that somebody chooses has to be. `service_words` are what the service itself is called."""

    def __init__(self, *, shortest: int, service_words: Iterable[str] = ()) -> None:
        self._shortest = shortest
        self._service_words = tuple(service_words)
        # The estimator holds the interpreter: several at once gain nothing and keep the event loop waiting longer.
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    async def check(self, password: str, *, field: str, words: Iterable[str] = ()) -> str:
        """`password` in NFC, ready to be hashed.

        `field` is its name on the wire. `words` are the person's: user name, display name, e-mail address; parts are
        found here. Raises InvalidInput with a violation for each piece of advice, Overloaded.
        """
        chosen = new_password(password, field=field, shortest=self._shortest)
        estimate = await self._estimated(judged_part(chosen), context_words([*words, *self._service_words]))
        if estimate.score < LOWEST_SCORE:
            told = ("expected one that is harder to guess", *estimate.advice)
            raise InvalidInput(*(FieldViolation(field, each) for each in told))
        return chosen

    async def _estimated(self, password: str, words: list[str]) -> Estimate:
        if self._waiting >= MOST_WAITING:
            raise Overloaded("too many passwords are being judged")
        self._waiting += 1
        try:
            await self._one_at_a_time.acquire()
        except BaseException:
            self._waiting -= 1
            raise
        # The turn is over when the thread is, not when its caller leaves: callers who leave at once would have any
        # number of passwords judged at a time.
        judging = asyncio.create_task(asyncio.to_thread(_estimate, password, words))
        judging.add_done_callback(self._over)
        return await asyncio.shield(judging)

    def _over(self, judging: asyncio.Task[Estimate]) -> None:
        self._one_at_a_time.release()
        self._waiting -= 1
        if not judging.cancelled():
            judging.exception()  # Seen: its caller may have left.


def _estimate(password: str, words: list[str]) -> Estimate:
    # Its dictionaries take 10 MB: only where somebody chooses a password.
    from zxcvbn_rs_py import zxcvbn

    found = zxcvbn(password, words)
    advice = [] if found.feedback is None else [found.feedback.warning, *found.feedback.suggestions]
    return Estimate(int(found.score), tuple(str(each) for each in advice if each is not None))
