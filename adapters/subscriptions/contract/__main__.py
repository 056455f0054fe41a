"""Writes the schemas and docs/asyncapi.yaml: `python -m adapters.subscriptions.contract`."""

import argparse
import sys

from adapters.subscriptions.contract.generate import ROOT, Incompatible, drift, write

MENDS = "run `make contract`, review the changes, and commit them"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m adapters.subscriptions.contract", description=__doc__
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if there is drift"
    )
    check = parser.parse_args().check
    try:
        changed = drift() if check else write()
    except Incompatible as error:
        print(error, file=sys.stderr)
        return 1
    for path in changed:
        print(f"{'is not up to date' if check else 'wrote'}: {path.relative_to(ROOT)}")
    if check and changed:
        print(MENDS, file=sys.stderr)
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
