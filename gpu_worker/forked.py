"""What the process that forks trainings has loaded: torch, and all else that a training uses."""

from adapters.processes.loading import collect_rarely

collect_rarely()

import gpu_worker.served_files  # noqa: E402, F401
import gpu_worker.train  # noqa: E402, F401
