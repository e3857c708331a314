"""Writes zones.tsv: recurrences around clock changes, as Python answers them.

Civil expansion by python-dateutil 2.9 on naive datetimes, then zoneinfo: with fold=0 a time that
occurs twice is the first, and one that is skipped is read with the offset from before the gap,
which shifts it forward by the gap's length (PEP 495). Sorted by instant; of two wall times on one
instant the one that exists stays.

    pip install python-dateutil==2.9.0.post0 tzdata
    PYTHONTZPATH= python generate.py > zones.tsv

PYTHONTZPATH= makes zoneinfo read the PyPI package and not the system's files. The version must be
the release that is compiled in, which the test asserts.
"""

import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

# The day on which clocks change, or on which a whole day is missing.
DAYS = {
    "America/New_York": ["1950-04-30", "2026-03-08", "2026-11-01", "2050-03-13", "2098-11-02"],
    "Europe/London": ["1968-10-27", "2026-03-29", "2026-10-25", "2050-03-27", "2098-10-26"],
    "Europe/Berlin": ["1945-05-24", "2026-03-29", "2026-10-25", "2050-10-30"],
    "Australia/Sydney": ["2026-04-05", "2026-10-04", "2050-04-03", "2098-10-05"],
    "Australia/Lord_Howe": ["1981-03-01", "2026-04-05", "2026-10-04", "2050-10-02"],
    "America/Havana": ["2021-03-14", "2021-11-07", "2026-03-08", "2026-11-01"],
    "Asia/Beirut": ["2022-03-27", "2023-03-30", "2023-10-29"],
    "Africa/Cairo": ["2010-08-10", "2023-04-28", "2023-10-27", "2026-04-24"],
    "America/Sao_Paulo": ["2018-02-18", "2018-11-04", "2019-02-17"],
    "Pacific/Apia": ["2010-09-26", "2011-12-30", "2012-04-01"],
}

# Hours before the changing day, start's time of day, rule.
RULES = [
    (48, "00:30:00", "FREQ=DAILY;COUNT=6"),
    (48, "02:30:00", "FREQ=DAILY;COUNT=6"),
    (48, "23:45:00", "FREQ=DAILY;COUNT=6"),
    (24 * 21, "02:15:00", "FREQ=WEEKLY;COUNT=6"),
    (24 * 3, "00:00:00", "FREQ=DAILY;INTERVAL=3;BYHOUR=0,1,2,3;BYMINUTE=0,30"),
    (6, "18:20:00", "FREQ=HOURLY;COUNT=40"),
    (30, "18:05:00", "FREQ=HOURLY;INTERVAL=5;COUNT=16"),
    (6, "22:00:00", "FREQ=MINUTELY;INTERVAL=15;COUNT=60"),
    (24, "22:00:00", "FREQ=MINUTELY;INTERVAL=37;BYHOUR=22,23,0,1,2,3,4;COUNT=40"),
]


def resolve(wall, zone):
    """The instant of a wall time and whether the zone skips it."""
    unix = int(wall.replace(tzinfo=zone, fold=0).timestamp())
    shown = datetime.fromtimestamp(unix, timezone.utc).astimezone(zone).replace(tzinfo=None)
    return unix, shown != wall


def main():
    print(f"# tzdata {version('tzdata')}, dateutil {version('python-dateutil')}, "
          f"Python {sys.version.split()[0]}; written by generate.py")
    print("# zone, start, rule, recurrence-id=unix seconds in order")
    for name, days in DAYS.items():
        zone = ZoneInfo(name)
        for day in days:
            for hours, time, rule in RULES:
                start = datetime.fromisoformat(f"{day} {time}") - timedelta(hours=hours)
                start = start.replace(hour=int(time[:2]), minute=int(time[3:5]))
                walls = []
                for wall in rrulestr(rule, dtstart=start):
                    if len(walls) == 80:
                        break
                    walls.append(wall)
                found = {}
                for unix, skipped, wall in sorted((*resolve(wall, zone), wall) for wall in walls):
                    found.setdefault(unix, wall)
                pairs = ",".join(f"{wall:%Y%m%dT%H%M%S}={unix}" for unix, wall in found.items())
                print(f"{name}\t{start:%Y%m%dT%H%M%S}\t{rule}\t{pairs}")


main()
