"""Which experiments a person may see, a page at a time."""

from bisect import bisect_right
from dataclasses import dataclass

from auth_service.domain.pages import PageTokens, page_size
from auth_service.domain.people import Experiments, valid_user_number


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    rb_numbers: tuple[int, ...]
    next_page_token: str


class ListExperiments:
    def __init__(self, experiments: Experiments, *, page_tokens: PageTokens) -> None:
        self._experiments = experiments
        self._page_tokens = page_tokens

    async def page(self, *, user_number: int, size: int, page_token: str) -> ExperimentPage:
        """RB numbers, ascending. Raises InvalidInput, ProviderUnavailable."""
        valid_user_number(user_number)
        most = page_size(size)
        listing = f"experiments of {user_number}"
        after = self._page_tokens.read(page_token, listing=listing)
        rb_numbers = await self._experiments.of(user_number)
        # By value, not by count: a proposal that appears meanwhile neither repeats nor hides another.
        start = bisect_right(rb_numbers, int(after)) if after is not None else 0
        return ExperimentPage(*self._page_tokens.cut(rb_numbers[start:], most=most, listing=listing, position=str))
