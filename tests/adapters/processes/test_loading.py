"""What a process loads, and what it does not."""

import subprocess
import sys


def test_a_command_loads_nats_without_what_web_sockets_need() -> None:
    code = (
        "import sys, cli.main\n"
        "sys.argv = ['stemma', '--help']\n"
        "try:\n    cli.main.run()\nexcept SystemExit:\n    pass\n"
        "import nats\n"
        "assert not {'aiohttp.client', 'multidict'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
