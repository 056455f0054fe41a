"""Pretrained weights: their files are called as the libraries call them, and fetched whole."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from timm.models import get_pretrained_cfg

from domain.training.architectures import ARCHITECTURES, TIMM_NAMES, TORCHVISION_NAMES
from gpu_worker import weights
from gpu_worker.weights import NotFetched, fetch


def test_every_architecture_with_weights_is_known_to_one_library() -> None:
    having = {key for key, one in ARCHITECTURES.items() if one.weights}
    assert TORCHVISION_NAMES.keys() | TIMM_NAMES.keys() == having
    assert not TORCHVISION_NAMES.keys() & TIMM_NAMES.keys()


@pytest.mark.parametrize("key", TORCHVISION_NAMES)
def test_a_file_is_called_as_torchvision_calls_its_default(key: str) -> None:
    expected = weights.torchvision_url(key).rsplit("/", 1)[1]
    assert list(ARCHITECTURES[key].weights.values()) == [expected]


@pytest.mark.parametrize("key", TIMM_NAMES)
def test_a_file_is_called_after_timms_default(key: str) -> None:
    config = get_pretrained_cfg(TIMM_NAMES[key])
    assert config is not None
    expected = f"{TIMM_NAMES[key]}.{config.tag}.safetensors"
    assert list(ARCHITECTURES[key].weights.values()) == [expected]


def test_a_file_is_fetched_once_and_only_if_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setattr(weights, "torchvision_url", lambda _key: source.as_uri())
    folder = tmp_path / "weights"
    with pytest.raises(NotFetched, match="hash"):
        fetch("resnet18", folder)
    assert list(folder.iterdir()) == []
    named = {"imagenet": f"resnet18-{digest[:8]}.pth"}
    monkeypatch.setitem(ARCHITECTURES["resnet18"].weights, "imagenet", named["imagenet"])
    (there,) = fetch("resnet18", folder)
    assert there.read_bytes() == b"weights"
    source.unlink()
    assert fetch("resnet18", folder) == [there]


@pytest.mark.parametrize(
    ("key", "told"),
    [("resnet9000", "architecture 'resnet9000' not found"), ("fcos_resnet18_fpn", "has no")],
)
def test_what_has_no_weights_is_said_in_a_line(tmp_path: Path, key: str, told: str) -> None:
    argv = [sys.executable, "-m", "gpu_worker.weights", key, str(tmp_path)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
