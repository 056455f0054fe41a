import inspect
import subprocess
import sys
from pkgutil import resolve_name

import pytest

from adapters.services import SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_a_service_takes_the_settings_the_log_and_when_to_stop(name: str) -> None:
    assert len(inspect.signature(resolve_name(SERVICES[name].run)).parameters) == 3


def test_services_start_without_what_few_of_their_tasks_need() -> None:
    heavy = {"sklearn", "scipy", "pandas", "pyarrow", "torch", "av"}
    modules = sorted({service.run.partition(":")[0] for service in SERVICES.values()})
    code = f"import sys, {', '.join(modules)}; print(*({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == ""
