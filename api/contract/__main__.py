"""Writes docs/openapi.json: `python -m api.contract`."""

import argparse
import sys

from api.contract.document import FILE, Incompatible, is_current, write

RAISE = "keep the old form beside the new one, or raise `API_VERSION` in api/http/api_version.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api.contract", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the file is not up to date"
    )
    if parser.parse_args().check:
        if is_current():
            return 0
        print(f"docs/{FILE.name} is not up to date: run `make contract`", file=sys.stderr)
        return 1
    try:
        if write():
            print(f"wrote: docs/{FILE.name}")
    except Incompatible as error:
        print(f"{error}\nThese changes break clients: {RAISE}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
