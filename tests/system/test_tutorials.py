"""The commands of the four tutorials, run as they stand there, in one folder with one system.

Only sizes differ, and what a reader leaves running in another terminal runs in the background. The
order is that of least work: the demos of the subscriber serve all, and the auditor alters the log.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.servers import port_of_its_own, server_folder
from tests.test_docs import FENCE
from tests.waiting import HANG_SECONDS

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
PRELUDE = f"""
set -euo pipefail
await() {{
    local end=$((SECONDS + {HANG_SECONDS:.0f}))
    until "$@"; do ((SECONDS < end)) || {{ echo "never: $*"; exit 70; }}; sleep 0.1; done
}}
has() {{ (($(wc -l < "$1") >= $2)); }}
"""
# So small a demo is not accurate enough, which its exit status says.
DEMO = ".venv/bin/stemma demo --epochs 0.1 --images 100 --json demo.json || test -s demo.json"
UP = """.venv/bin/stemma up > up.log 2>&1 &
await grep -q "stemma: ready" up.log"""
COMPLETED = """touch completed.txt
.venv/bin/python completed.py >> completed.txt & CONSUMER=$!
await has completed.txt {count}
await test position.json -nt completed.txt
kill $CONSUMER"""


class Terminal:
    """What the readers of all tutorials type in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(port_of_its_own())
        others = {key: text for key, text in os.environ.items() if not key.startswith("STEMMA_")}
        short = {"STEMMA_API_PORT": self.port, "STEMMA_ACK_WAIT_SECONDS": "3"}
        self.environment = others | short | {"PYTHONUNBUFFERED": "1"}
        (folder / ".venv").symlink_to(sys.prefix)

    def run(self, lines: str) -> str:
        """Run lines in a shell that stops at the first that fails; returns what they print."""
        (self.folder / "printed.txt").touch()
        with (self.folder / "printed.txt").open("w+", encoding="utf-8") as printed:
            done = subprocess.run(
                ["bash", "-c", PRELUDE + lines],
                cwd=self.folder,
                env=self.environment,
                stdout=printed,
                stderr=printed,
                timeout=3 * HANG_SECONDS,
                check=False,
            )
            printed.seek(0)
            text = printed.read()
        assert done.returncode == 0, f"{lines}\n\n{text}"
        return text

    def follow(self, tutorial: str, *instead: tuple[str, str]) -> str:
        """Type all that a tutorial shows, with other texts in place of some of its own."""
        guide = (TUTORIALS / f"{tutorial}.md").read_text(encoding="utf-8")
        blocks = [body for language, body in FENCE.findall(guide) if not language]
        lines = "\n".join(blocks)
        for old, new in (*instead, ("8300", self.port)):
            assert old in lines or old == "8300", f"{tutorial} does not show {old!r}"
            lines = lines.replace(old, new)
        return self.run(re.sub(r"\bcurl ", "curl -sS --retry 60 --retry-all-errors ", lines))


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    with server_folder() as folder:
        (folder / "stemma").mkdir()
        made = Terminal(folder / "stemma")
        try:
            yield made
        finally:
            for data in (".stemma", "../stemma-backup"):
                made.run(f"STEMMA_DATA={data} .venv/bin/stemma down")


def test_an_operator_kills_watches_and_restores(terminal: Terminal) -> None:
    printed = terminal.follow(
        "operator",
        ("make setup\n.venv/bin/stemma up\n", f"{UP}\n"),
        (
            "stemma-backup .venv/bin/stemma up\n",
            f"stemma-backup {UP.replace('up.log', 'copy.log')}\n",
        ),
        ("nats-server\n", "nats-server\nawait grep -q 'nats restarted' up.log\n"),
        ("stemma: api died (signal 9), restarting in 0.2 s\n", "await grep 'api died' up.log\n"),
        ("stemma: api restarted (pid 11408)\n", "await grep 'api restarted' up.log\n"),
    )
    for shown in ("api died (signal 9)", "relay", "code=", "stemma_log_position"):
        assert shown in printed
    assert "nothing was altered" in printed
    assert re.search(r"catalog_v\d+: equal to a replay", printed)


def test_a_subscriber_misses_nothing_while_stopped(terminal: Terminal) -> None:
    guide = (TUTORIALS / "subscriber.md").read_text(encoding="utf-8")
    [code] = [body for language, body in FENCE.findall(guide) if language == "python"]
    (terminal.folder / "completed.py").write_text(code, encoding="utf-8")
    terminal.follow(
        "subscriber",
        ("make setup\n.venv/bin/stemma up\n", f"{UP}\n"),
        ("stemma events follow\n", "stemma events follow > followed.txt & FOLLOWER=$!\n"),
        ("make demo\n", f"{DEMO}\n"),
        (
            ".venv/bin/python completed.py",
            f"{COMPLETED.format(count=1)}\n{DEMO}\n{COMPLETED.format(count=2)}\nkill $FOLLOWER",
        ),
    )
    first, second = (terminal.folder / "completed.txt").read_text(encoding="utf-8").splitlines()
    assert first.split()[0] != second.split()[0], "each training is reported once"
    followed = (terminal.folder / "followed.txt").read_text(encoding="utf-8")
    assert "project.created" in followed
    assert "version.training_completed" in followed


def test_a_team_trains_and_imports(terminal: Terminal) -> None:
    for name, light in (("cat", 0), ("dog", 200)):
        (terminal.folder / "pets" / name).mkdir(parents=True)
        for number in range(5):
            image = Image.new("L", (8, 8), light + number)
            image.save(terminal.folder / "pets" / name / f"{number}.png")
    printed = terminal.follow(
        "vision-team",
        ("make demo ARGS=--keep\n", ""),
        ("--set height=32", "--set height=32 --set epochs=0.1"),
        ("train Pets/pets", "train Pets/pets --set width=32 --set height=32 --set epochs=1"),
    )
    assert printed.count("is ready") == 2
    assert "folders: 10 images read; added 10, annotated 10" in printed


def test_an_auditor_finds_what_was_altered(terminal: Terminal) -> None:
    printed = terminal.follow(
        "auditor",
        ("make demo ARGS=--keep\n", ""),
        ("as-of 2000", "as-of 20"),
        # It ends with status 1, and so shows what stands in the next block.
        ("verifier-keys.txt\n\nFOUND:", "verifier-keys.txt || test $? = 1\n# FOUND:"),
    )
    assert "equal to the log's" in printed
    assert "reproduced" in printed
    assert "nothing was altered" in printed
    assert "FOUND: event 77 (image.added, revision 1 of image-" in printed
    after = terminal.run(".venv/bin/stemma audit replay || test $? = 1")
    assert "administrator" in after
    assert "grace" in after
