"""`GET /versions/{id}/metrics?points=N`: always those of the version's last event."""

from typing import Any

from tests.api.scene import ITERATIONS_PER_EPOCH, Scene

FEWEST = 10
EPOCHS = 3


def chart(site: Scene, version_id: str, **parameters: int) -> list[dict[str, Any]]:
    answer = site.http.get(f"/api/v1/versions/{version_id}/metrics", params=parameters)
    return list(answer.raise_for_status().json()["series"])


def losses(site: Scene, version_id: str, **parameters: int) -> dict[str, Any]:
    [found] = [
        one
        for one in chart(site, version_id, points=FEWEST, **parameters)
        if one["metric"] == "batch_loss"
    ]
    return found


def test_a_chart_that_is_asked_for_again_has_what_has_come_since(site: Scene) -> None:
    _, view_id = site.trainable("Charts")
    version_id = site.version(view_id)
    site.begin(version_id)
    seen = []
    for number in range(1, EPOCHS + 1):
        site.epoch(version_id, number)
        position = site.visible()
        first = losses(site, version_id)
        assert losses(site, version_id) == first, "once more, nothing having happened"
        assert first["iterations"][-1] == number * ITERATIONS_PER_EPOCH
        assert len(first["values"]) <= FEWEST
        seen.append((position, first))
    for position, before in seen:
        assert losses(site, version_id, as_of=position) == before
    assert losses(site, version_id) == seen[-1][1]
    whole = [one["values"] for one in chart(site, version_id) if one["metric"] == "batch_loss"]
    assert len(whole[0]) == EPOCHS * ITERATIONS_PER_EPOCH
    assert len(chart(site, version_id, points=1000)[1]["values"]) == len(whole[0])


def test_what_is_newer_is_sampled_by_itself(site: Scene) -> None:
    _, view_id = site.trainable("Newer")
    version_id = site.version(view_id)
    site.begin(version_id)
    site.epoch(version_id, 1)
    site.visible()
    after = losses(site, version_id)["position"]
    site.epoch(version_id, 2)
    site.visible()
    newer = losses(site, version_id, after=after)
    assert newer["iterations"][0] > ITERATIONS_PER_EPOCH
    assert losses(site, version_id)["iterations"][0] == 1
