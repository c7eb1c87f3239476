"""When a schedule fires: the times of a cron expression or a recurrence between two moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from dateutil.parser import isoparse, parse
from dateutil.rrule import DAILY, FR, HOURLY, MINUTELY, MO, MONTHLY, SA, SU, TH, TU, WE, WEEKLY, rrule
from tzlocal.windows_tz import win_tz

from azft.testing.emulator.wire import bad_request

MOST = 100
"""Times that one look at the clock fires, however far it was put forward."""
_FREQUENCIES: dict[str, Any] = {"minute": MINUTELY, "hour": HOURLY, "day": DAILY, "week": WEEKLY, "month": MONTHLY}
_DAYS = {"monday": MO, "tuesday": TU, "wednesday": WE, "thursday": TH, "friday": FR, "saturday": SA, "sunday": SU}
MINUTE = timedelta(minutes=1)
_BAD = "ValidationError"


def check_trigger(trigger: Any) -> Mapping[str, Any]:
    """Return a trigger that can fire; the service's refusal of any other."""
    if not isinstance(trigger, Mapping):
        raise bad_request("'trigger' is missing, expected an object", _BAD)
    next(_times(trigger, datetime(2026, 1, 1, tzinfo=UTC)), None)
    return trigger


def due(trigger: Mapping[str, Any], after: float, until: float) -> list[float]:
    """Return the seconds since 1970 at which it fires, later than `after` and not after `until`.

    >>> cron = {"triggerType": "Cron", "expression": "0 12 * * *", "timeZone": "UTC"}
    >>> [datetime.fromtimestamp(at, UTC).isoformat() for at in due(cron, 0, 86_400)]
    ['1970-01-01T12:00:00+00:00']
    """
    begin = datetime.fromtimestamp(after, UTC)
    ends = _moment(trigger.get("endTime"), _zone(trigger))
    found = []
    for moment in islice(_times(trigger, begin), MOST):
        at = moment.timestamp()
        if at > until or (ends is not None and moment > ends):
            break
        if at > after:
            found.append(at)
    return found


def _times(trigger: Mapping[str, Any], after: datetime) -> Iterator[datetime]:
    """Yield the times from a moment on, or from the trigger's own start, if that is later."""
    zone = _zone(trigger)
    start = _moment(trigger.get("startTime"), zone)
    begin = (max(after, start) if start is not None else after).astimezone(zone)
    kind = trigger.get("triggerType")
    if kind == "Cron":
        try:
            # It yields what is later than the minute it is given, and a start may be the first time itself.
            yield from CronSim(str(trigger.get("expression")), begin.replace(second=0, microsecond=0) - MINUTE)
        except CronSimError as error:
            raise bad_request(
                f"expression {trigger.get('expression')!r} is no cron expression: {error}", _BAD
            ) from None
    elif kind == "Recurrence":
        yield from _recurring(trigger, start.astimezone(zone) if start else begin, begin)
    else:
        raise bad_request(f"triggerType is {kind!r}, expected Cron or Recurrence", _BAD)


def _recurring(trigger: Mapping[str, Any], start: datetime, begin: datetime) -> Iterator[datetime]:
    frequency = _FREQUENCIES.get(str(trigger.get("frequency")).lower())
    interval = trigger.get("interval")
    if frequency is None or not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        said = f"frequency {trigger.get('frequency')!r} and interval {interval!r}"
        raise bad_request(f"{said}, expected one of {', '.join(_FREQUENCIES)} and a whole number", _BAD)
    pattern = trigger.get("schedule") or {}
    days = [_DAYS[str(day).lower()] for day in pattern.get("weekDays") or () if str(day).lower() in _DAYS]
    times: Any = rrule(
        frequency,
        dtstart=start.replace(second=0, microsecond=0),
        interval=interval,
        byhour=pattern.get("hours") or None,
        byminute=pattern.get("minutes") or None,
        byweekday=days or None,
        bymonthday=pattern.get("monthDays") or None,
        bysecond=0,
    )
    yield from times.xafter(begin, inc=True)


def _zone(trigger: Mapping[str, Any]) -> tzinfo:
    """Return the time zone, which Azure calls by Windows' names."""
    name = str(trigger.get("timeZone") or "UTC")
    try:
        return ZoneInfo(win_tz.get(name, name))
    except (ZoneInfoNotFoundError, ValueError):
        raise bad_request(f"timeZone {name!r} is no time zone of Windows", _BAD) from None


def _moment(given: Any, zone: tzinfo) -> datetime | None:
    if not given:
        return None
    try:
        found = parse(str(given)) if " " in str(given) else isoparse(str(given))
    except ValueError:
        raise bad_request(f"{given!r} is no time such as 2026-01-31T08:00:00", _BAD) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)
