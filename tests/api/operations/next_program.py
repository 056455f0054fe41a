"""`stemma` of a next version, in which a read model has changed: it bears a new name."""

import re
import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path

NAME = "projections.training.models_library"


def change() -> None:
    spec = find_spec(NAME)
    assert spec is not None
    assert spec.origin is not None
    source = re.sub(
        r"(models_library_v\d+)", r"\1_next", Path(spec.origin).read_text(encoding="utf-8")
    )
    module = module_from_spec(spec)
    sys.modules[NAME] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)


change()

if __name__ == "__main__":
    from cli.main import run

    run()
