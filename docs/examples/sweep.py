"""Train with three learning rates, and take the best version away with a proof of how it was made.

    python sweep.py PROJECT VIEW FOLDER [OPTION=VALUE ...]

Run again, it trains nothing a second time: the keys lead to the versions that are there.
"""

import sys
from pathlib import Path

from stemma_client import Stemma, TrainingFailed
from stemma_client.versions import Version
from stemma_client.views import View

RATES = (0.0003, 0.001, 0.003)


def main(project: str, view: str, folder: str, *options: str) -> None:
    with Stemma() as s:
        ended = sweep(s.projects[project].views[view], dict(one.split("=", 1) for one in options))
        if not ended:
            sys.exit("no training has weights")
        best = max(ended, key=lambda run: run.indicator or 0)
        print(f"best: {best.name}, {best.indicator}")

        model = best.download(folder)
        # Keep this file where nobody of the system can write: it proves what the log is until now.
        kept = Path(f"{model}.checkpoint")
        kept.write_text(s.audit.checkpoint(at_least=s.status().head).note, encoding="utf-8")
        proof = best.prove(kept, weights=model)
        print(f"proven: {len(proof.events)} events name the weights {proof.weights}")


def sweep(view: View, options: dict[str, str]) -> list[Version]:
    """The versions that have weights, one of each rate."""
    runs = [
        view.train(
            name=f"rate {rate}",
            preset="quick",
            initial_learning_rate=rate,
            key=f"sweep-{view.id}-{rate}",
            **{name: number(value) for name, value in options.items()},
        )
        for rate in RATES
    ]
    ended: list[Version] = []
    for run in runs:
        try:
            ended.append(run.wait(timeout=3600))
        except TrainingFailed as failed:
            print(failed)
    return ended


def number(value: str) -> str | float:
    """An option's value: whole numbers and others, or a name."""
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        return value


if __name__ == "__main__":
    main(*sys.argv[1:])
