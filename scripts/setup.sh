#!/bin/sh
# Find a Python of 3.11 or newer, and let it make .venv (setup.py beside this file).
# PYTHON names one; without, the first that fits is taken.
set -eu
cd "$(dirname "$0")/.."

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    fits "$PYTHON" || {
        echo "setup: Python 3.11 or newer is needed, and $PYTHON is not one (PYTHON=$PYTHON)" >&2
        exit 1
    }
    exec "$PYTHON" -I scripts/setup.py --this-python
fi
for python in python3 python python3.14 python3.13 python3.12 python3.11; do
    if fits "$python"; then
        exec "$python" -I scripts/setup.py
    fi
done
echo "setup: Python 3.11 or newer is needed, and none is on the PATH: install one, or name it:" \
    "make PYTHON=/path/to/python3 setup" >&2
exit 1
