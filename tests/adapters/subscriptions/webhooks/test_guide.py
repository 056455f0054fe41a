"""The receiver of the guide for subscribers takes what is signed, and nothing else."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from adapters.subscriptions.webhooks.addresses import Gate, allowed_in
from adapters.subscriptions.webhooks.sending import DeliveryResult, Message, Sender
from application.webhooks import new_secret
from tests.adapters.running import eventually
from tests.servers import port_of_its_own

GUIDE = Path(__file__).parents[4] / "docs" / "subscriber" / "webhooks.md"
BODY = b'{"sequence":"0000000000000000007","type":"version.created","subject":"version-1"}'


def sent(url: str, secret: str) -> DeliveryResult:
    async def send() -> DeliveryResult:
        async with Sender(Gate(allowed_in("127.0.0.1")), 5) as sender:
            return await sender.send(url, Message("1", BODY), [secret])

    return asyncio.run(send())


def test_the_receiver_of_the_guide(tmp_path: Path) -> None:
    section = GUIDE.read_text()
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    program = tmp_path / "receive.py"
    program.write_text(found[1])
    port, secret = port_of_its_own(), new_secret()
    url, log = f"http://127.0.0.1:{port}/", tmp_path / "printed"
    environment = dict(os.environ) | {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    with log.open("wb") as output:
        receiver = subprocess.Popen([sys.executable, program], env=environment, stdout=output)
    try:
        eventually(lambda: sent(url, secret).status == 204)
        assert sent(url, new_secret()).status == 400
    finally:
        receiver.kill()
        receiver.wait()
    assert log.read_text().splitlines() == ["7 version.created version-1"]
