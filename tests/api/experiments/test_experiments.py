import threading
from html import unescape

import httpx
import pytest
from httpx_sse import connect_sse

from projections.experiments.queries import STATUSES
from stemma_client import Stemma
from tests.adapters.running import eventually
from tests.api.experiments.conftest import EPOCHS, SMALL, SPACE, TRIALS, Laboratory
from tests.api.people import People
from tests.api.scene import KEY
from tests.waiting import HANG_SECONDS

PARTS = ("trials", "curves", "events")
ESTIMATE = "views/none/experiments/estimate"


def test_one_click_starts_the_quick_preset(laboratory: Laboratory) -> None:
    _, view_id = laboratory.site.trainable()
    experiment_id = laboratory.start(view_id)
    eventually(lambda: len(laboratory.trials(experiment_id)) == 4)
    laboratory.site.visible()
    shown = laboratory.get(f"/experiments/{experiment_id}")["experiment"]
    assert (shown["budget"], shown["epochs"], shown["concurrency"]) == (8, 6, 4)
    assert shown["state"] == "running"
    assert shown["counts"] == {"open": 4, "completed": 0, "pruned": 0, "failed": 0}
    assert shown["best"] is None


def test_an_experiment_names_its_best(laboratory: Laboratory, finished: tuple[str, str]) -> None:
    _, experiment_id = finished
    shown = laboratory.get(f"/experiments/{experiment_id}")["experiment"]
    conclusion = shown["conclusion"]
    assert (shown["state"], conclusion["ended_by"]) == ("concluded", "budget")
    assert shown["best"]["version_id"] == conclusion["best"]
    assert shown["best"]["value"] == conclusion["value"]
    assert shown["counts"]["completed"] == conclusion["completed"]
    assert shown["counts"]["pruned"] == conclusion["pruned"] > 0
    assert shown["epochs_trained"] == conclusion["epochs_trained"] < shown["epochs_planned"]
    assert (shown["progress"], shown["seconds_left"]) == (1.0, None)


def test_trials_are_sorted_and_filtered(laboratory: Laboratory, finished: tuple[str, str]) -> None:
    _, experiment_id = finished
    path = f"/experiments/{experiment_id}/trials"
    trials = laboratory.get(path)["items"]
    assert [trial["number"] for trial in trials] == list(range(1, TRIALS + 1))
    best = laboratory.get(f"/experiments/{experiment_id}")["experiment"]["best"]
    ready = laboratory.get(f"{path}?sort=best&status=ready")["items"]
    assert ready[0]["number"] == best["number"]
    assert [t["value"] for t in ready] == sorted((t["value"] for t in ready), reverse=True)
    pruned = laboratory.get(f"{path}?status=pruned")["items"]
    assert pruned
    assert all(t["pruning"]["value"] < t["pruning"]["cut"] for t in pruned)


@pytest.mark.parametrize(("field", "value"), [("status", "nonsense"), ("sort", "colour")])
def test_an_unknown_status_or_order_of_trials_is_refused(
    laboratory: Laboratory, finished: tuple[str, str], field: str, value: str
) -> None:
    path = f"/experiments/{finished[1]}"
    reason = f"{field} must be one of "
    refused = laboratory.site.http.get(f"/api/v1{path}/trials", params={field: value})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert reason in refused.json()["detail"]
    page = laboratory.site.http.get(path, params={field: value})
    assert page.status_code == 422
    assert reason in unescape(page.text)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "trials"),
        ("trials=1", "trials"),
        ("trials=1,99", "trials"),
        ("trials=1,x", "trials"),
        ("trials=1,2,3,4,5,6,7,8,9", "trials"),
        ("trials=1,2&metric=x", "metric"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    laboratory: Laboratory, finished: tuple[str, str], query: str, field: str
) -> None:
    refused = laboratory.site.http.get(f"/experiments/{finished[1]}/compare?{query}")
    assert refused.status_code == 422
    assert f"{field} " in unescape(refused.text)


def test_every_status_that_a_trial_has_is_taken(
    laboratory: Laboratory, finished: tuple[str, str]
) -> None:
    _, experiment_id = finished
    path = f"/experiments/{experiment_id}/trials"
    trials = laboratory.get(path)["items"]
    listed = [
        trial for status in STATUSES for trial in laboratory.get(f"{path}?status={status}")["items"]
    ]
    assert sorted(trial["number"] for trial in listed) == [trial["number"] for trial in trials]


def test_the_curves_of_all_trials_come_at_once(
    laboratory: Laboratory, finished: tuple[str, str]
) -> None:
    _, experiment_id = finished
    curves = laboratory.get(f"/experiments/{experiment_id}/curves")["curves"]
    assert {curve["number"] for curve in curves} == set(range(1, TRIALS + 1))
    assert {curve["metric"] for curve in curves} == {"validation_loss", "validation_accuracy"}
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"]
    (first,) = (c for c in curves if (c["number"], c["metric"]) == (1, "validation_accuracy"))
    assert len(first["values"]) == EPOCHS
    assert max(first["values"]) == pytest.approx(trials[0]["value"])


def test_the_package_draws_the_last_trials_in_a_notebook(
    laboratory: Laboratory, finished: tuple[str, str]
) -> None:
    with Stemma(laboratory.site.url, KEY) as client:
        shown = client.experiment(finished[1])._repr_html_()
    assert shown.count("<polyline") == 5
    assert f"trial {TRIALS}, validation_accuracy" in shown


def test_the_past_is_as_it_was(laboratory: Laboratory, finished: tuple[str, str]) -> None:
    view_id, experiment_id = finished
    path = f"/experiments/{experiment_id}"
    trials = laboratory.get(f"{path}/trials")["items"]
    (pruned, *_) = (trial for trial in trials if trial["pruning"])
    at = pruned["pruning"]["log_position"]
    then = laboratory.get(f"{path}?as_of={at}")["experiment"]
    assert (then["state"], then["conclusion"], then["ended_at"]) == ("running", None, None)
    before = laboratory.get(f"{path}/trials?as_of={at}")["items"]
    assert len(before) < TRIALS
    (it,) = (trial for trial in before if trial["number"] == pruned["number"])
    assert it["pruning"] is None
    assert it["status"] == "training"
    nothing = laboratory.get(f"/views/{view_id}/experiments?as_of=1")
    assert nothing["items"] == []


def test_experiments_are_listed_newest_first_page_by_page(laboratory: Laboratory) -> None:
    _, view_id = laboratory.site.trainable()
    made = [laboratory.start(view_id, name=f"search {n}", budget=1) for n in range(3)]
    laboratory.site.visible()
    first = laboratory.get(f"/views/{view_id}/experiments?limit=2")
    assert [row["experiment_id"] for row in first["items"]] == made[:0:-1]
    second = laboratory.get(f"/views/{view_id}/experiments?limit=2&cursor={first['next']}")
    assert [row["experiment_id"] for row in second["items"]] == made[:1]


def test_a_version_says_which_trial_it_is(
    laboratory: Laboratory, finished: tuple[str, str]
) -> None:
    _, experiment_id = finished
    version_id = laboratory.trials(experiment_id)[4]
    version = laboratory.get(f"/versions/{version_id}")["version"]
    assert (version["experiment_id"], version["trial"]) == (experiment_id, 5)


def test_versions_are_listed_with_trials_without_or_of_one_experiment(
    laboratory: Laboratory,
) -> None:
    _, view_id = laboratory.site.trainable()
    named = laboratory.site.version(view_id)
    mine, other = (laboratory.start(view_id, budget=1, seed=seed) for seed in (1, 2))
    for experiment_id in (mine, other):
        eventually(lambda key=experiment_id: len(laboratory.trials(key)) == 1)  # type: ignore[misc]
    laboratory.site.visible()

    def listed(query: str) -> set[str]:
        answer = laboratory.get(f"/versions?view_id={view_id}{query}")
        return {version["version_id"] for version in answer["items"]}

    trials = {key: set(laboratory.trials(key)) for key in (mine, other)}
    assert listed("") == {named} | trials[mine] | trials[other]
    assert listed("&trials=false") == {named}
    assert listed(f"&experiment_id={mine}") == trials[mine]


def test_it_is_stopped_once_and_ends(laboratory: Laboratory) -> None:
    _, view_id = laboratory.site.trainable()
    experiment_id = laboratory.start(view_id, budget=50, concurrency=3)
    eventually(lambda: len(laboratory.trials(experiment_id)) == 3)
    for _ in range(3):
        laboratory.trainer.step(laboratory.trials(experiment_id)[0])
    laboratory.site.post(f"/experiments/{experiment_id}/stop", {})
    laboratory.site.post(f"/experiments/{experiment_id}/stop", {})
    queued = laboratory.trials(experiment_id)[1:]
    # Else they might be trained before the policy cancels them.
    eventually(lambda: all(laboratory.status(each) == "cancelled" for each in queued))
    laboratory.run(experiment_id)
    shown = laboratory.get(f"/experiments/{experiment_id}")["experiment"]
    assert shown["conclusion"]["ended_by"] == "stopped"
    assert shown["best"]["number"] == 1
    again = laboratory.site.http.post(f"/api/v1/experiments/{experiment_id}/stop")
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"budget": 0}, "budget"),
        ({"budget": 501}, "budget"),
        ({"concurrency": 0}, "concurrency"),
        ({"space": {"architectures": []}}, "space.architectures"),
        ({"space": {"architectures": ["resnet18"], "optimizers": ["sgd"]}}, "space.optimizers"),
        ({"options": {"pretrained": "imagenet"}}, "space.architectures"),
        ({"options": {"patience": 3}}, "options.patience"),
        ({"options": {"epochs": 0}}, "epochs"),
    ],
)
def test_bad_input_is_refused_with_its_field(
    laboratory: Laboratory, finished: tuple[str, str], body: dict[str, object], field: str
) -> None:
    view_id, _ = finished
    head = laboratory.site.store.head()
    refused = laboratory.site.http.post(f"/api/v1/views/{view_id}/experiments", json=body)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert laboratory.site.store.head() == head


@pytest.mark.parametrize(
    "body", [{"preset": "huge"}, {"space": {"architectures": ["resnet18"], "rates": [1]}}, {"x": 1}]
)
def test_what_no_experiment_has_is_refused(
    laboratory: Laboratory, finished: tuple[str, str], body: dict[str, object]
) -> None:
    view_id, _ = finished
    refused = laboratory.site.http.post(f"/api/v1/views/{view_id}/experiments", json=body)
    assert refused.status_code == 422


def test_an_experiment_is_estimated_by_trainings_that_ended(laboratory: Laboratory) -> None:
    _, view_id = laboratory.site.trainable()
    path = f"/views/{view_id}/experiments/estimate"
    laboratory.site.visible()
    untimed = laboratory.get(path)
    assert (untimed["trainings"], untimed["epochs"]) == (8, 6)
    assert (untimed["train_images"], untimed["validation_images"]) == (6, 4)
    assert (untimed["seconds"], untimed["timing"]) == (None, None)
    assert untimed["duration"] == "Duration unknown: no training has completed in this project yet."
    ended = laboratory.site.version(view_id)
    laboratory.site.begin(ended, 1)
    laboratory.site.epoch(ended, 1, of=1)
    laboratory.site.finish(ended)
    laboratory.site.visible()
    timed = laboratory.get(f"{path}?preset=thorough&budget=10&epochs=3")
    assert (timed["trainings"], timed["epochs"]) == (10, 3)
    assert (timed["timing"]["of"], timed["timing"]["versions"]) == ("view", 1)
    # No worker is online, so it is the time of one.
    assert timed["seconds"] == pytest.approx(timed["timing"]["seconds"] * 10 * 3 * 6)
    assert "on one worker, by the last 1 completed training of this view" in timed["duration"]


@pytest.mark.parametrize(
    ("query", "field"), [("budget=0", "budget"), ("epochs=0", "epochs"), ("preset=x", "preset")]
)
def test_an_estimate_of_what_cannot_be_is_refused(
    laboratory: Laboratory, finished: tuple[str, str], query: str, field: str
) -> None:
    path = f"/api/v1/views/{finished[0]}/experiments/estimate?{query}"
    refused = laboratory.site.http.get(path)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_it_is_followed_live_to_its_end(laboratory: Laboratory) -> None:
    _, view_id = laboratory.site.trainable()
    experiment_id = laboratory.start(view_id, budget=2, concurrency=1, space=SPACE, options=SMALL)
    training = threading.Thread(target=laboratory.run, args=(experiment_id,))
    path = f"/api/v1/experiments/{experiment_id}/events"
    states = []
    with connect_sse(laboratory.site.http, "GET", path, timeout=HANG_SECONDS) as source:
        training.start()
        for event in source.iter_sse():
            if event.event == "end":
                break
            states.append(event.json())
    training.join()
    assert states[-1]["state"] == "concluded"
    assert states[-1]["best"]["number"] in {1, 2}
    counts = [state["counts"]["completed"] for state in states]
    assert counts == sorted(counts)
    assert counts[-1] == 2


def test_whose_key_is_revoked_follows_no_more(laboratory: Laboratory) -> None:
    site = laboratory.site
    project_id, view_id = site.trainable("Followed until revoked")
    experiment_id = laboratory.start(view_id, budget=2, concurrency=1, space=SPACE, options=SMALL)
    _, guest = People(site).join(("viewer", project_id))
    key = list(site.store.read_all(names=["key.issued"]))[-1]
    path = f"/api/v1/experiments/{experiment_id}/events"
    with guest, connect_sse(guest, "GET", path, timeout=HANG_SECONDS) as source:
        sent = source.iter_sse()
        assert next(sent).event == "experiment"
        site.http.delete(f"/api/v1/keys/{key.entity_id}").raise_for_status()
        site.http.post(f"/api/v1/experiments/{experiment_id}/stop").raise_for_status()
        assert [one for one in sent if one.data and '"running"' not in one.data] == []


def test_one_that_is_not_there_is_not_found(laboratory: Laboratory) -> None:
    for path in ("experiments/none", *(f"experiments/none/{part}" for part in PARTS), ESTIMATE):
        found: httpx.Response = laboratory.site.http.get(f"/api/v1/{path}")
        assert found.status_code == 404
