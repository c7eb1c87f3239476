"""How the traffic of an endpoint is shared when one more deployment joins it, and given back when it leaves."""

from __future__ import annotations

from collections.abc import Mapping

WHOLE = 100


def shared(before: Mapping[str, int], part: str, percent: int) -> dict[str, int]:
    """Return the shares with `percent` for one more part; the others keep their proportions.

    >>> shared({"blue": 90, "green": 10}, "ours", 20), shared({}, "ours", 100), shared({"blue": 0}, "ours", 10)
    ({'blue': 72, 'green': 8, 'ours': 20}, {'ours': 100}, {'blue': 0, 'ours': 100})
    """
    rest = {name: share for name, share in before.items() if name != part}
    if not sum(rest.values()):
        return {**rest, part: WHOLE}
    return {**_scaled(rest, WHOLE - percent), part: percent}


def given_back(now: Mapping[str, int], part: str, before: Mapping[str, int]) -> dict[str, int]:
    """Return the shares without a part: as they were before it came, if nobody has changed them since.

    >>> given_back({"blue": 80, "ours": 20}, "ours", {"blue": 100})
    {'blue': 100}
    >>> given_back({"blue": 40, "green": 40, "ours": 20}, "ours", {"blue": 100})
    {'blue': 50, 'green': 50}
    """
    rest = {name: share for name, share in now.items() if name != part}
    if set(rest) == set(before) and dict(now) == shared(before, part, now[part]):
        return dict(before)
    return _scaled(rest, WHOLE) if sum(rest.values()) else rest


def _scaled(shares: Mapping[str, int], whole: int) -> dict[str, int]:
    """Return whole shares in the same proportions that add up; what rounding leaves goes to the largest."""
    total = sum(shares.values())
    made = {name: share * whole // total for name, share in shares.items()}
    largest = max(shares, key=lambda name: shares[name])
    made[largest] += whole - sum(made.values())
    return made
