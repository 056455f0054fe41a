"""Numbers, shares, durations and times as text: one form each, in messages, pages and commands."""

from datetime import UTC, datetime


def number(value: int) -> str:
    """A number with separators of thousands: `12,000`."""
    return f"{value:,}"


def counted(value: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun in the right form: `1 image`, `12,000 images`."""
    return f"{value:,} {noun if value == 1 else plural or f'{noun}s'}"


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 as a percentage: `98%`, with one digit `98.3%`."""
    return f"{share:.{digits}%}"


def duration(seconds: float) -> str:
    """A duration in its two largest units: `2 h 5 min`."""
    whole = max(round(seconds), 0)
    for span, unit, smaller, smaller_unit in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= span:
            return f"{whole // span} {unit} {whole % span // smaller} {smaller_unit}"
    return f"{whole} s"


def difference(share: float) -> str:
    """A difference of two shares in percentage points, with a sign unless it is 0."""
    points = round(100 * share, 1)
    if not points:
        return "0.0"
    return f"{points:+.1f}".replace("-", "\N{MINUS SIGN}")


def estimate(seconds: float) -> str:
    """A duration that is known roughly: without its smaller unit from ten of the larger one."""
    larger, unit, *smaller = duration(seconds).split()
    return f"{larger} {unit}" if int(larger) >= 10 else " ".join((larger, unit, *smaller))


def moment(at: datetime) -> str:
    """A time to the second, in UTC: `2026-03-04 05:06:07 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment_of(text: str | None) -> str:
    """The same of a time in the JSON of the API; nothing where there is none."""
    return "" if text is None else moment(datetime.fromisoformat(text))


def size(count: int) -> str:
    """A number of bytes in its largest decimal unit: `1.5 MB`."""
    for span, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= span:
            return f"{count / span:.1f} {unit}"
    return f"{count} B"
