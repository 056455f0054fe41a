"""Fetches pretrained weights: `python -m gpu_worker.weights ARCHITECTURE FOLDER`.

File names are in `domain.training.architectures`; URLs come from torchvision and timm.
"""

import hashlib
import re
import sys
import tempfile
from pathlib import Path

from domain.training.architectures import (
    ARCHITECTURES,
    TIMM_NAMES,
    TORCHVISION_NAMES,
    Architecture,
)

_TIMM_FILE = "model.safetensors"
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.\w+$")


class NotFetched(Exception):
    """The weights could not be fetched; the message gives the reason."""


def fetch(key: str, folder: Path) -> list[Path]:
    """Download an architecture's weights into a folder, checked against their digest.

    An existing file is kept. Raises `NotFetched`.
    """
    architecture = ARCHITECTURES.get(key)
    if architecture is None:
        raise NotFetched(f"architecture {key!r} not found; there are {', '.join(ARCHITECTURES)}")
    if not architecture.weights:
        raise NotFetched(f"{architecture.label} has no pretrained weights")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_fetch_file(architecture, folder / file) for file in architecture.weights.values()]
    except Exception as error:  # the libraries that download have no errors in common
        reason = str(error).strip().splitlines()
        first_line = reason[0] if reason else type(error).__name__
        raise NotFetched(
            f"the weights of {architecture.label} could not be fetched: {first_line}"
        ) from error


def _fetch_file(architecture: Architecture, target: Path) -> Path:
    if not target.is_file():
        if architecture.key in TIMM_NAMES:
            _from_timm(architecture.key, target)
        else:
            _from_torchvision(architecture.key, target)
    return target


def torchvision_url(key: str) -> str:
    """torchvision's URL of an architecture's default weights; their digest is in the name."""
    from torchvision.models import get_model_weights

    return str(get_model_weights(TORCHVISION_NAMES[key]).DEFAULT.url)


def _from_torchvision(key: str, target: Path) -> None:
    """Download under a temporary name, and rename once the digest matches."""
    from torch.hub import download_url_to_file

    digest = _DIGEST_IN_NAME.search(target.name)
    assert digest is not None
    download_url_to_file(torchvision_url(key), str(target), digest[1])


def _from_timm(key: str, target: Path) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(TIMM_NAMES[key])
    assert config is not None
    assert config.hf_hub_id
    # The entity tag of a large file is its sha256.
    expected = get_hf_file_metadata(hf_hub_url(config.hf_hub_id, _TIMM_FILE)).etag
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
        got = Path(hf_hub_download(config.hf_hub_id, _TIMM_FILE, local_dir=folder))
        with got.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != expected:
            raise RuntimeError(f"the file's sha256 is {digest}; it should be {expected}")
        got.rename(target)


def main(key: str, folder: str) -> int:
    try:
        for path in fetch(key, Path(folder)):
            print(f"{path} exists, {path.stat().st_size:,} bytes")
    except NotFetched as problem:
        print(f"stemma: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
