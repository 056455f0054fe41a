"""Lint, types, and the tests of what a change touches, for two minutes at most.

The change is what differs from the commit `--base`, and what git does not track yet. A test belongs
to it if it imports something changed, directly or through others; those that are nearest by imports
run first. What there is no time for is named and left to `make test`. Imports are read from the
code: module names in strings and fixtures of a conftest.py are not followed.
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "domain", "application", "projections", "adapters", "gpu_worker", "api", "cli",
    "stemma_client", "benchmarks", "scripts", "tests",
)  # fmt: skip
SLOW = ("tests.system", "tests.gpu_worker", "tests.test_benchmarks")
"""They start whole systems or train: only a change of such a file itself runs it here."""
FILES_AT_ONCE = 6


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="HEAD", help="compare with this commit; default HEAD")
    parser.add_argument("--seconds", type=float, default=120, help="time for all of it")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    if not passes(["git", "cat-file", "-e", f"{options.base}^{{commit}}"]):
        parser.error(f"--base: {options.base!r} names no commit here")
    changed = changed_files(options.base)
    python = [path for path in changed if path.endswith(".py")]
    if not python:
        print("no Python file has changed: nothing to test", file=sys.stderr)
    tools = Path(sys.executable).parent
    steps: list[list[Path | str]] = [
        [tools / "ruff", "check", *python],
        [tools / "ruff", "format", "--check", *python],
    ]
    steps += [[tools / "mypy"], [tools / "lint-imports"]]
    failed = [step for step in steps if python and not passes(step)]
    if failed:
        return 1
    return run_tests(tests_of(python), deadline)


def changed_files(base: str) -> list[str]:
    """Paths that differ from the base or are new, and are still there."""
    listed = [
        ["git", "diff", "--name-only", "--diff-filter=d", base],
        ["git", "ls-files", "--others", "--exclude-standard"],
    ]
    lines = [
        subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for argv in listed
    ]
    return sorted({path for text in lines for path in text.splitlines()})


def passes(argv: list[Path | str]) -> bool:
    return subprocess.run([str(word) for word in argv], cwd=ROOT, check=False).returncode == 0


def tests_of(changed: list[str]) -> list[str]:
    """The files of tests that the changed files reach, by the number of imports between."""
    graph = grimp.build_graph(*PACKAGES)
    names = {module_of(path) for path in changed} & graph.modules
    distance = dict.fromkeys(names, 0)
    frontier = set(names)
    while frontier:
        importers = {
            name for module in frontier for name in graph.find_modules_that_directly_import(module)
        }
        frontier = importers - distance.keys()
        step = 1 + max(distance.values())
        distance |= dict.fromkeys(frontier, step)
    tests = [
        name
        for name in distance
        if name.startswith("tests.")
        and name.rpartition(".")[2].startswith("test_")
        and (name in names or not name.startswith(SLOW))
    ]
    return [
        f"{name.replace('.', '/')}.py" for name in sorted(tests, key=lambda n: (distance[n], n))
    ]


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def run_tests(files: list[str], deadline: float) -> int:
    status = 0
    for begin in range(0, len(files), FILES_AT_ONCE):
        left = deadline - time.monotonic()
        batch = files[begin : begin + FILES_AT_ONCE]
        argv = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *batch]
        with subprocess.Popen(argv, cwd=ROOT) as tests:
            try:
                status = tests.wait(max(left, 0.1)) or status
            except subprocess.TimeoutExpired:
                # As Ctrl-C does, so that it stops its servers.
                tests.send_signal(signal.SIGINT)
                tests.wait()
                print("for lack of time, left to `make test`:", *files[begin:], sep="\n  ")
                break
    return status


if __name__ == "__main__":
    sys.exit(main())
