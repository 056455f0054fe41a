import msgspec
import pytest

from domain.experiments.experiment import DEFAULT, TPE, Proposed
from domain.experiments.pruning import derive_prunings, rungs
from domain.experiments.trials import Epoch, Trial


def trial(number: int, *values: float, at: int | None = None, sampler: str = TPE) -> Trial:
    """A trial with a value after each epoch, whose events lie from position `at` on."""
    first = 100 * number if at is None else at
    epochs = {n: Epoch(value, first + n) for n, value in enumerate(values, start=1)}
    return Trial(Proposed(number, f"version-{number}", {}, sampler), epochs=epochs)


@pytest.mark.parametrize(
    ("epochs", "expected"), [(9, [1, 3]), (6, [1, 2]), (27, [3, 9]), (2, [1]), (1, []), (0.5, [])]
)
def test_trials_are_judged_after_a_ninth_and_a_third(epochs: float, expected: list[int]) -> None:
    assert rungs(epochs) == expected


def test_one_in_three_goes_on() -> None:
    trials = [trial(n, value) for n, value in enumerate((0.5, 0.6, 0.7, 0.8, 0.4, 0.65), start=1)]
    pruned = derive_prunings(trials, 9)
    assert [each.number for each in pruned] == [5, 6]
    fifth, sixth = pruned
    assert (fifth.epoch, fifth.value, fifth.compared, fifth.cut) == (1, 0.4, 4, 0.8)
    assert (sixth.compared, sixth.cut, sixth.log_position) == (5, 0.7, 601)


def test_a_trial_is_compared_with_those_that_were_there_before_it() -> None:
    late = [trial(n, 0.9, at=1000 * n) for n in range(2, 6)]
    assert derive_prunings([trial(1, 0.1, at=0), *late], 9) == []
    assert [p.number for p in derive_prunings([trial(1, 0.1, at=9000), *late], 9)] == [1]


def test_equal_values_and_defaults_are_kept() -> None:
    assert derive_prunings([trial(n, 0.5) for n in range(1, 9)], 9) == []
    best = [trial(n, 0.9) for n in range(1, 5)]
    assert derive_prunings([*best, trial(5, 0.1, sampler=DEFAULT)], 9) == []


def test_the_best_value_so_far_counts_at_a_rung() -> None:
    good = [trial(n, 0.1, 0.1, 0.8) for n in range(1, 5)]
    assert derive_prunings([*good, trial(5, 0.1, 0.9, 0.0)], 9) == []
    assert [p.epoch for p in derive_prunings([*good, trial(5, 0.1, 0.5, 0.0)], 9)] == [3]


def test_what_a_pruned_trial_does_afterwards_counts_for_nothing() -> None:
    good = [trial(n, 0.5, 0.5, 0.5) for n in range(1, 5)]
    bad = [trial(n, 0.1, 0.9, 0.9) for n in (5, 6)]
    last = trial(7, 0.5, 0.5, 0.5)
    pruned = derive_prunings([*good, *bad, last], 9)
    assert [each.number for each in pruned] == [5, 6]
    stopped = [msgspec.structs.replace(each, epochs={1: each.epochs[1]}) for each in bad]
    assert derive_prunings([*good, *stopped, last], 9) == pruned


def test_the_verdict_does_not_depend_on_what_came_later() -> None:
    trials = [trial(n, *(0.1 * (n * 7 % 10),) * 9) for n in range(1, 13)]
    whole = derive_prunings(trials, 9)
    assert whole
    for end in range(0, 1300, 50):
        seen = [
            msgspec.structs.replace(
                each, epochs={n: at for n, at in each.epochs.items() if at.position <= end}
            )
            for each in trials
        ]
        assert derive_prunings(seen, 9) == [p for p in whole if p.log_position <= end]
