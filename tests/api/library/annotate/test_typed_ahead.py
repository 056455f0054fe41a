"""A key labels the image that was shown when it was pressed, however fast they come."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.api.library.annotate.desk import Desk, begin, expect_count, expect_state
from tests.api.scene import Scene

RECORDER = """
window.presses = []; window.swaps = []; window.beeps = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function () { window.beeps += 1; return start.call(this); };
const visible = () => {
  const picture = document.querySelector("[data-picture]");
  if (!picture?.complete || getComputedStyle(picture).visibility !== "visible") return null;
  return picture.src.split("/").at(-2);
};
const note = () => {
  const image = visible();
  if (window.swaps.at(-1)?.image !== image) window.swaps.push({ at: performance.now(), image });
};
addEventListener("DOMContentLoaded", () => {
  const seen = { subtree: true, childList: true, attributes: true };
  new MutationObserver(note).observe(document.querySelector("[data-frame]"), seen);
  addEventListener("load", note);
});
addEventListener("keydown", ({ key, timeStamp }) => {
  const before = window.swaps.filter(({ at }) => at <= timeStamp);
  window.presses.push({ key, image: before.at(-1)?.image ?? null });
}, true);
"""
"""Notes which picture can be seen at each press of a key, and counts the tones."""


def latency(page: Page, milliseconds: int) -> None:
    """Let each call of the page take so much longer."""
    conditions = {"latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1}
    session = page.context.new_cdp_session(page)
    session.send("Network.emulateNetworkConditions", {"offline": False, **conditions})


@pytest.mark.parametrize(
    ("images", "each", "added"),
    [(10, 60, 0), (10, 250, 0), (10, 60, 150), (10, 250, 150), (60, 80, 150)],
)
def test_a_key_labels_the_image_that_was_shown_when_it_was_pressed(
    site: Scene, page: Page, images: int, each: int, added: int
) -> None:
    desk = Desk(site, "classification", images=images)
    page.add_init_script(RECORDER)
    begin(page, site, desk.path)
    latency(page, added)
    pressed = images + 6
    page.keyboard.type("12" * (pressed // 2), delay=each)
    expect_count(page, "not annotated", images - len({*labelled(page)}))
    expected = labelled(page)
    refused = pressed - len(expected)
    assert page.evaluate("window.presses.length") == pressed
    assert page.evaluate("window.beeps") == refused
    concepts = {"1": desk.cat, "2": desk.dog}
    said = {image: desk.concepts(image) for image in desk.images}
    assert said == {
        image: [concepts[expected[image]]] if image in expected else [] for image in desk.images
    }
    assert len(expected) > 3


def labelled(page: Page) -> dict[str, str]:
    """The first key that was pressed at each image that was seen."""
    keys: dict[str, str] = {}
    for press in page.evaluate("window.presses"):
        if press["image"] is not None:
            keys.setdefault(press["image"], press["key"])
    return keys


def test_keys_that_meet_no_image_are_refused_audibly(site: Scene, page: Page) -> None:
    desk = Desk(site, "classification")
    page.add_init_script(RECORDER)
    begin(page, site, desk.path)
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            waiting.append(route)

    released = False
    page.route("**/picture", hold)
    page.goto(f"{desk.path}?image={desk.images[1]}", wait_until="commit")
    expect_state(page, "the image is loading…")
    page.keyboard.press("1")
    expect_state(page, "a key was ignored: no image was shown")
    assert page.evaluate("window.beeps") == 1
    released = True
    for route in waiting:
        route.continue_()
    expect_state(page, "not annotated yet")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", level=1)).to_have_text("2.png")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", level=1)).to_have_text("0.png")
    page.keyboard.press("1")
    expect_state(page, "saved: no other image is unannotated")
    page.keyboard.press("2")
    refused = "this image has a concept; go to another image, or click a concept to change it"
    expect_state(page, f"saved: {refused}")
    assert page.evaluate("window.beeps") == 2
    assert [desk.concepts(one) for one in desk.images] == [[desk.cat], [desk.dog], [desk.cat]]
