"""What pages transfer to a browser that has nothing yet, and to one that has; their first paint."""

from typing import Any, NamedTuple

from playwright.sync_api import Page

from benchmarks.flip_book.scrub import browser, site_of
from benchmarks.measurements import Expected, Measurement
from benchmarks.quiet import repeat

POINTS, EPOCHS = 50, 3
PAINT = """async () => {
  const painted = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  while (painted() === undefined) await new Promise(requestAnimationFrame);
  return painted();
}"""


class Budget(NamedTuple):
    """A page, and the kilobytes that a first visit may transfer; None for no bound."""

    what: str
    path: str
    kilobytes: float | None


class Visit(NamedTuple):
    first: float
    again: float
    paint: float


def run(quick: bool) -> list[Measurement]:
    """Kilobytes are those on the wire, headers included; paint is from the request on."""
    figures: list[Measurement] = []
    with site_of(POINTS, EPOCHS) as (url, key, version_id):
        for budget in (
            Budget("home", "/", 60),
            Budget("version", f"/versions/{version_id}", 200),
            Budget("evaluation", f"/versions/{version_id}/evaluation", None),
        ):

            def visit(address: str = f"{url}{budget.path}") -> Visit:
                with browser(url, key) as page:
                    return _visit(page, address)

            done = repeat(1 if quick else 5, visit)
            bound = Expected(budget.kilobytes) if budget.kilobytes else None
            for name, unit, values, expected in (
                ("first visit", "kB", [one.first for one in done.results], bound),
                ("again", "kB", [one.again for one in done.results], None),
                ("first paint", "ms", [one.paint for one in done.results], Expected(300)),
            ):
                figures.append(
                    Measurement(
                        what=f"{budget.what}: {name}",
                        unit=unit,
                        ours=tuple(values),
                        expected=expected,
                        others=done.others,
                    )
                )
    return figures


def _visit(page: Page, address: str) -> Visit:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []

    def took(event: dict[str, Any]) -> None:
        received.append(event["encodedDataLength"])

    session.on("Network.loadingFinished", took)
    page.goto(address, wait_until="load")
    first = sum(received)
    paint = page.evaluate(PAINT)
    received.clear()
    page.goto(address, wait_until="load")
    return Visit(first / 1000, sum(received) / 1000, paint)
