"""torch's compiler is loaded by who compiles, and is then whole."""

import subprocess
import sys

import pytest

TRAINING = """
import sys
import gpu_worker.train
import torch
from torchvision.ops.roi_align import is_compile_supported

network = torch.nn.Linear(2, 2)
for optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam,
                  torch.optim.RMSprop):
    steps = optimizer(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    steps.step()
    steps.zero_grad()
    steps.load_state_dict(steps.state_dict())
assert "torch._dynamo.eval_frame" not in sys.modules
assert not hasattr(sys.modules["torch._dynamo"], "__file__")
"""

COMPILING = {
    "torch.compile": """
double = torch.compile(lambda numbers: 2 * numbers, backend="eager")
assert double(torch.ones(1)) == 2
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
""",
    "an import of a part": """
import torch._dynamo.config as config
assert config is torch._dynamo.config is sys.modules["torch._dynamo.config"]
assert config.__spec__.loader is config.__loader__
assert torch._dynamo.utils.is_compile_supported("cpu") == is_compile_supported("cpu")
""",
}


@pytest.mark.parametrize("loading", COMPILING)
def test_trainings_do_not_load_the_compiler_and_who_uses_it_does(loading: str) -> None:
    loaded = 'assert sys.modules["torch._dynamo"] is torch._dynamo\nassert torch._dynamo.__file__'
    code = "\n".join((TRAINING, COMPILING[loading], loaded))
    subprocess.run([sys.executable, "-c", code], check=True)
