#!/usr/bin/env python3
"""Compares exchanges.toml, day by day, with the package `exchange_calendars` of PyPI.

    python3 -m venv /tmp/calendars
    /tmp/calendars/bin/pip install exchange_calendars
    /tmp/calendars/bin/python src/sessions/check_calendars.py

For each exchange and each day from 2020-01-01 to 2030-12-31: whether it trades, and if so, when it opens and closes,
in UTC. Prints how many days were compared and every difference; ends with 1 where there is one. Needs Python 3.11.
"""

import sys
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import exchange_calendars

FIRST, LAST = date(2020, 1, 1), date(2030, 12, 31)
THEIRS = {"NYSE": "XNYS", "NASDAQ": "XNAS", "LSE": "XLON", "XETRA": "XETR"}


def ours(exchange, day):
    """When the exchange opens and closes on that day, in UTC; None where it does not."""
    hours, weekdays = exchange["regular"].split()
    assert weekdays == "MON-FRI", weekdays
    closed = {day for days in exchange["closed"].values() for day in days}
    half_days = {day for days in exchange["half_days"].values() for day in days}
    if day.weekday() > 4 or day.isoformat() in closed:
        return None
    opens, closes = hours.split("-")
    if day.isoformat() in half_days:
        closes = exchange["half_day_ends"]
    return tuple(utc(day, moment, exchange["zone"]) for moment in (opens, closes))


def utc(day, moment, zone):
    return datetime.combine(day, time.fromisoformat(moment), ZoneInfo(zone)).astimezone(UTC)


def theirs(name):
    """When that calendar opens and closes, in UTC, by the days on which it does."""
    calendar = exchange_calendars.get_calendar(name, start=str(FIRST), end=str(LAST))
    rows = calendar.schedule[["open", "close"]].itertuples()
    return {row.Index.date(): (row.open.to_pydatetime(), row.close.to_pydatetime()) for row in rows}


def useless(exchange):
    """Days that are named twice, or on which the exchange would not trade anyway."""
    groups = (exchange["closed"], exchange["half_days"])
    named = [day for group in groups for days in group.values() for day in days]
    return sorted({day for day in named if named.count(day) > 1 or date.fromisoformat(day).weekday() > 4})


def main():
    exchanges = tomllib.loads(Path(__file__).with_name("exchanges.toml").read_text())
    assert exchanges.keys() == THEIRS.keys(), exchanges.keys()
    compared, differences = 0, []
    for name, exchange in exchanges.items():
        exchange = exchanges[exchange["like"]] if "like" in exchange else exchange
        differences += [f"{name} {day}: named to no purpose" for day in useless(exchange)]
        expected = theirs(THEIRS[name])
        day = FIRST
        while day <= LAST:
            one, other = ours(exchange, day), expected.get(day)
            if one != other:
                differences.append(f"{name} {day}: here {shown(one)}, there {shown(other)}")
            compared += 1
            day += timedelta(days=1)
    print(f"exchange_calendars {exchange_calendars.__version__}: {compared} days compared, "
          f"{len(differences)} differences")
    print("\n".join(differences), end="\n" if differences else "")
    return 1 if differences else 0


def shown(session):
    return "closed" if session is None else "-".join(f"{moment:%H:%M}" for moment in session)


if __name__ == "__main__":
    sys.exit(main())
