"""Limits that all replicas share through Valkey or Redis.

An account's tallies are one hash, an address's are another, and the calls of a window are a third, with a field for
each replica. Each is changed by one script that runs whole, and expires when nothing is owed or its window is over.
Times are the callers', in microseconds since 1970; by the server's clock only keys expire.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from auth_service.domain.attempts import LONGEST_WAIT, Counter, Known, Tally
from auth_service.domain.rates import Counted
from auth_service.providers.valkey import Call, Valkey

AT_ONCE = 200
"""Windows told in one round trip."""

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = Tally(0, _EPOCH)


class LimitsInValkey:
    """As `Tallies` and `CallCounts`, but raises ValkeyAway and ValkeyUnfit. Keys begin with `prefix`."""

    def __init__(self, server: Valkey, *, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._replica = secrets.token_hex(8)

    async def check(self) -> str:
        """What the server is. Raises ValkeyAway, ValkeyUnfit."""
        return await self._server.check(f"{self._prefix}:check:{self._replica}")

    async def ping(self) -> None:
        """Raises ValkeyAway, ValkeyUnfit."""
        await self._server.ping()

    async def find(self, counters: Sequence[Counter], *, now: datetime) -> Mapping[bytes, Tally | None]:
        owners = _by_owner(counters)
        told = await self._server.run(
            *(Call(_FIND, self._owed(owner), [each.key.hex() for each in its]) for owner, its in owners.items())
        )
        found = {
            each.key: _tally(text)
            for its, texts in zip(owners.values(), told, strict=True)
            for each, text in zip(its, texts, strict=True)
        }
        return {key: tally if tally and tally.paid_off_at > now else None for key, tally in found.items()}

    async def add_failure_to(self, at_least: Known, counters: Sequence[Counter], *, now: datetime) -> Known:
        """As `add_failure`, to tallies that are `at_least` these."""
        owners = _by_owner(counters)
        told = await self._server.run(
            *(
                Call(_ADD_FAILURE, self._owed(owner), [_instant(now), _span(LONGEST_WAIT), *_arguments(its, at_least)])
                for owner, its in owners.items()
            )
        )
        tallies = {}
        for its, texts in zip(owners.values(), told, strict=True):
            for each, text in zip(its, texts, strict=True):
                tally = _tally(text)
                assert tally is not None
                tallies[each.key] = tally
        return tallies

    async def forget(self, account: bytes) -> None:
        await self._server.run(Call("return redis.call('DEL', KEYS[1])", self._owed(account)))

    async def share(self, counted: Sequence[Counted], *, now: datetime, heard: Callable[[Counted, int], None]) -> None:
        for start in range(0, len(counted), AT_ONCE):
            some = counted[start : start + AT_ONCE]
            totals = await self._server.run(*(self._call_of(each, now) for each in some))
            for each, total in zip(some, totals, strict=True):
                heard(each, int(total))

    async def close(self) -> None:
        await self._server.close()

    def _owed(self, owner: bytes) -> str:
        return f"{self._prefix}:owed:{owner.hex()}"

    def _call_of(self, each: Counted, now: datetime) -> Call:
        # What all of this replica's calls are, not how many more: whoever never got the answer may say it again.
        left = max(each.ends_at - now, timedelta(0)) + timedelta(seconds=1)
        key = f"{self._prefix}:calls:{each.key.hex()}:{each.window}"
        return Call(_COUNT, key, [self._replica, each.here, _span(left) // 1000])


_FIND = "return redis.call('HMGET', KEYS[1], unpack(ARGV))"

# `Limit.after_failure` once more, where it is done whole; a test holds that both say the same. What is paid off goes,
# or the hash of an account that is tried for ever would grow.
_ADD_FAILURE = """
local now, longest_wait, owed_until = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local owed = {}
local kept = redis.call('HGETALL', KEYS[1])
for i = 1, #kept, 2 do
  local failures, paid_off_at = string.match(kept[i + 1], '(%d+) (%d+)')
  if tonumber(paid_off_at) <= now then
    redis.call('HDEL', KEYS[1], kept[i])
  else
    owed[kept[i]] = {tonumber(failures), tonumber(paid_off_at)}
    owed_until = math.max(owed_until, tonumber(paid_off_at))
  end
end
local told = {}
for i = 3, #ARGV, 6 do
  local at_once, pause, longest_pause = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local failures, paid_off_at = unpack(owed[ARGV[i]] or {0, now})
  if tonumber(ARGV[i + 5]) > paid_off_at then
    failures, paid_off_at = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
  end
  failures = failures + 1
  local doublings = math.min(math.max(0, failures - at_once), 16)
  local latest = now + longest_wait + (at_once - 1) * pause
  paid_off_at = math.min(paid_off_at + math.min(pause * 2 ^ doublings, longest_pause), latest)
  owed_until = math.max(owed_until, paid_off_at)
  told[#told + 1] = string.format('%d %.0f', failures, paid_off_at)
  redis.call('HSET', KEYS[1], ARGV[i], told[#told])
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', (owed_until - now) / 1000 + 1000))
return told
"""

_COUNT = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local total = 0
for _, calls in ipairs(redis.call('HVALS', KEYS[1])) do total = total + tonumber(calls) end
return total
"""


def _by_owner(counters: Sequence[Counter]) -> Mapping[bytes, Sequence[Counter]]:
    """What is an account's is in one place, so that it is forgotten at once."""
    found = defaultdict(list)
    for each in counters:
        found[each.account or each.key].append(each)
    return found


def _arguments(counters: Sequence[Counter], at_least: Known) -> list[str | int]:
    return [
        argument
        for each in counters
        for least in [at_least.get(each.key, _NOTHING)]
        for argument in (
            each.key.hex(),
            each.limit.at_once,
            _span(each.limit.pause),
            _span(each.limit.longest_pause),
            least.failures,
            _instant(least.paid_off_at),
        )
    ]


def _tally(text: bytes | None) -> Tally | None:
    if text is None:
        return None
    failures, paid_off_at = map(int, text.split())
    return Tally(failures, _EPOCH + paid_off_at * _MICROSECOND)


def _instant(moment: datetime) -> int:
    return _span(moment - _EPOCH)


def _span(span: timedelta) -> int:
    """In whole microseconds, which the server's numbers hold exactly (below 2^53)."""
    return span // _MICROSECOND
