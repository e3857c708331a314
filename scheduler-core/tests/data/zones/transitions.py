"""Writes transitions.tsv: every zone's clock changes from 1900 through 2099, as Python has them.

zoneinfo shows no table, so changes are found by asking: probes five days apart, and a bisection
wherever two of them differ. Zones that change alike are one line: their names, the offset at
1900-01-01T00:00:00Z in seconds, then each change as the seconds since the one before (the first:
since 1970) and the offset from then on.

    pip install tzdata
    PYTHONTZPATH= python transitions.py > transitions.tsv

PYTHONTZPATH= makes zoneinfo read the PyPI package and not the system's files. The version must be
the release that is compiled in, which the test asserts.
"""

import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST = int((datetime(1900, 1, 1, tzinfo=timezone.utc) - EPOCH).total_seconds())
END = int((datetime(2100, 1, 1, tzinfo=timezone.utc) - EPOCH).total_seconds())
PROBE = 5 * 86_400


def changes(name):
    """The offset at first, and the instants at which another begins."""
    zone = ZoneInfo(name)

    def offset(unix):
        return int((EPOCH + timedelta(seconds=unix)).astimezone(zone).utcoffset().total_seconds())

    found = [(FIRST, offset(FIRST))]
    probe = FIRST
    while probe < END - 1:
        after = min(probe + PROBE, END - 1)
        while found[-1][1] != offset(after):
            before, same, other = found[-1][1], max(probe, found[-1][0]), after
            while other - same > 1:
                middle = (same + other) // 2
                if offset(middle) == before:
                    same = middle
                else:
                    other = middle
            found.append((other, offset(other)))
        probe = after
    return tuple(found)


def main():
    print(f"# tzdata {version('tzdata')}, Python {sys.version.split()[0]}; written by transitions.py")
    print("# zones, offset in 1900, then seconds since the last change=offset from then on")
    alike = {}
    for name in sorted((files("tzdata") / "zones").read_text().split()):
        alike.setdefault(changes(name), []).append(name)
    for (first, *rest), names in sorted(alike.items(), key=lambda item: item[1]):
        last, pairs = 0, []
        for unix, offset in rest:
            pairs.append(f"{unix - last}={offset}")
            last = unix
        print(",".join(names), first[1], " ".join(pairs), sep="\t")


main()
