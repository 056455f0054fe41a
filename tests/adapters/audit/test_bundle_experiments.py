"""What bundles hold of experiments."""

from pathlib import Path

import msgspec

from adapters.experiments.sampler import OptunaSampler
from application.experiments.experiments import Plan, start_experiment
from application.experiments.policy import Reactions
from tests.adapters.audit.bundles import Exhibit, check, members_of
from tests.application.experiments.simulation import Policy, experiment_at
from tests.application.scenes import do


def test_a_trial_brings_its_experiment_along_and_a_project_all_of_them(
    exhibit: Exhibit, tmp_path: Path
) -> None:
    store, view = exhibit.store, exhibit.scene.view
    plan = Plan(budget=2, concurrency=2, base={"epochs": 1.0, "width": 32, "height": 32})
    started = do(store, lambda session: start_experiment(session, view, plan)).id
    other = do(store, lambda session: start_experiment(session, view, plan)).id
    Policy(Reactions(store, OptunaSampler())).follow()
    exhibit.freeze()
    exhibit.signed.sign()
    first, second = (each.version_id for each in experiment_at(store, started).trials)
    content = exhibit.of_version(first)
    held = streams_in(content)
    assert {f"experiment-{started}", f"version-{first}"} <= held
    assert not held & {f"experiment-{other}", f"version-{second}"}
    assert check(content, tmp_path, "--key", exhibit.keys).status == 0
    project = exhibit.of("project")
    assert {f"experiment-{started}", f"experiment-{other}"} <= streams_in(project)
    assert check(project, tmp_path, "--key", exhibit.keys).status == 0


def streams_in(content: bytes) -> set[str]:
    lines = map(msgspec.json.decode, members_of(content)["log.jsonl"].splitlines())
    return {line["stream"] for line in lines if "stream" in line}
