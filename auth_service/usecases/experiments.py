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
        page = rb_numbers[start : start + most]
        has_more = start + most < len(rb_numbers)
        return ExperimentPage(
            rb_numbers=page,
            next_page_token=self._page_tokens.write(listing=listing, position=str(page[-1])) if has_more else "",
        )
