"""How long tests wait for what is to happen."""

HANG_SECONDS = 180.0
"""After so long, what a test waits for is taken never to happen. It only ends a test that hangs."""
HANG_MS = 1000 * HANG_SECONDS
