"""`stemma events follow --via nats` by the seed alone, and by one that may not."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from nats.aio.client import Client

from adapters.nats.login import new_seed
from adapters.nats.roles import NatsRole
from cli.main import main
from tests.adapters.nats.access.lab import OPERATOR, SUBSCRIBER, WORKER, Lab
from tests.waiting import HANG_SECONDS

FOLLOW = ("events", "follow", "--via", "nats")


def follow(lab: Lab, seed: Path, *arguments: str) -> str:
    """What it says, which it must by itself: an end that does not come fails by the time limit."""
    environment = {
        "STEMMA_DATA": str(seed.parent),
        "STEMMA_NATS_URL": lab.server.address,
        "STEMMA_NATS_SEED": str(seed),
    }
    done = CliRunner().invoke(main, [*FOLLOW, *arguments], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


async def publish_renaming(client: Client) -> None:
    headers = {
        "ce-type": "project.renamed",
        "ce-schemaversion": "1",
        "ce-subject": "project-1",
        "ce-sequence": "7",
        "ce-revision": "2",
        "ce-actor": "ada",
    }
    subject = "stemma.events.project.renamed.1.1.-"
    await client.jetstream().publish(subject, b'{"name":"Pets"}', headers=headers)


@pytest.mark.timeout(HANG_SECONDS)
@pytest.mark.parametrize(
    ("role", "consumer", "told"),
    [
        (SUBSCRIBER, "other", "the subscriber mine, whose only consumer is 'mine', not 'other'"),
        (WORKER, None, "worker-mine, which may not follow"),
        (None, None, "NATS refused the connection"),
    ],
)
def test_a_seed_that_may_not_follow_is_refused_at_once(
    lab: Lab, tmp_path: Path, role: NatsRole | None, consumer: str | None, told: str
) -> None:
    seed = tmp_path / "some.seed"
    seed.write_text(lab.server.access.seed_file(role, "mine").read_text() if role else new_seed())
    seed.chmod(0o600)
    given = ["--consumer", consumer] if consumer else []
    assert told in follow(lab, seed, *given, "--count", "1")


@pytest.mark.timeout(HANG_SECONDS)
@pytest.mark.parametrize(("role", "name"), [(SUBSCRIBER, "mine"), (OPERATOR, "")])
def test_the_seed_is_enough(lab: Lab, role: NatsRole, name: str) -> None:
    lab.run(OPERATOR, publish_renaming)
    seed = lab.server.access.seed_file(role, name)
    said = follow(lab, seed, "--name", "project.renamed", "--count", "1")
    assert said == "7 project.renamed project-1 ada\n"
