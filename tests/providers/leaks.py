"""What an exception can tell somebody who prints all of it."""

import traceback
from collections.abc import Iterator


def everything_in(error: BaseException) -> str:
    """The formatted traceback, and text, repr and arguments of the whole chain, suppressed contexts included."""
    chain = list(_chain(error, set()))
    texts = ["".join(traceback.format_exception(error))]
    for each in chain:
        texts += [str(each), repr(each), repr(each.args), repr(vars(each))]
    return "\n".join(texts)


def chain_of(error: BaseException) -> list[BaseException]:
    return list(_chain(error, set()))


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from _chain(error.__cause__, seen)
    yield from _chain(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _chain(each, seen)
