"""Networks by their keys: built at random from the seed, then loaded with initial weights."""

import io
import json
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection import FCOS
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from domain.library.view import DETECTION
from domain.training.architectures import (
    DETECTOR_LIMITS,
    SMALL_DETECTOR,
    SMALL_PYRAMID,
    TIMM_NAMES,
    TORCHVISION_NAMES,
    WITHOUT_AUXILIARY,
    detector_limits,
)
from domain.training.messages import InitialWeights
from domain.training.options import TrainingOptions

# PyTorch's default. torchvision's MobileNet v3 has 0.01, meant for some hundred thousand
# iterations: after a few hundred its running averages lag so far that validation is at chance.
_BATCH_NORM_MOMENTUM = 0.1

_POSITIONS = "encoder.pos_embedding"
"""A vision transformer's parameter that depends on the size of its images."""


class UnknownRecipe(Exception):
    """The job names a network that this worker cannot build."""


def build_network(kind: str, options: TrainingOptions, concepts: int) -> nn.Module:
    """The network with an output for each concept, initialised at random from the seed."""
    torch.manual_seed(options.seed)
    model = _build(kind, options, concepts)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _BATCH_NORM_MOMENTUM
    return model


def _build(kind: str, options: TrainingOptions, concepts: int) -> nn.Module:
    key = options.architecture
    if key in TIMM_NAMES:
        import timm  # half a second that most networks need not wait for

        model: nn.Module = timm.create_model(TIMM_NAMES[key], num_classes=concepts)
        return model
    if kind == DETECTION:
        return _build_detector(key, options, concepts)
    if key not in TORCHVISION_NAMES:
        names = ", ".join((*TORCHVISION_NAMES, *TIMM_NAMES))
        raise UnknownRecipe(
            f"this worker does not support the architecture {key!r}; it supports {names}"
        )
    extra: dict[str, Any] = {}
    if key in WITHOUT_AUXILIARY:
        extra = {"aux_logits": False, "init_weights": True}
    if key == "vit_b_16":
        extra["image_size"] = options.input_size[0]
    name = TORCHVISION_NAMES[key]
    built: nn.Module = models.get_model(name, weights=None, num_classes=concepts, **extra)
    return built


def _build_detector(key: str, options: TrainingOptions, concepts: int) -> nn.Module:
    """Label 0 is the background in torchvision's detectors; concepts count from 1."""
    model: nn.Module
    if key == SMALL_DETECTOR:
        backbone = BackboneWithFPN(
            models.resnet18(weights=None),
            {"layer2": "0", "layer3": "1", "layer4": "2"},
            [128, 256, 512],
            SMALL_PYRAMID,
            LastLevelP6P7(SMALL_PYRAMID, SMALL_PYRAMID),
        )
        limits: dict[str, Any] = dict(DETECTOR_LIMITS)
        model = FCOS(backbone, num_classes=concepts + 1, **limits)
    elif key in TORCHVISION_NAMES:
        model = models.get_model(
            TORCHVISION_NAMES[key],
            weights=None,
            weights_backbone=None,
            num_classes=concepts + 1,
            **detector_limits(key),
        )
    else:
        raise UnknownRecipe(f"this worker cannot build the detector {key!r}")
    # Images already have the required size: the detector must not resize them.
    width, height = options.input_size
    resize: Any = model.transform
    resize.min_size, resize.max_size = (min(width, height),), max(width, height)
    resize.fixed_size = None
    return model


def head_of(kind: str, options: TrainingOptions, concepts: int) -> dict[str, int]:
    """The parameters and buffers that belong to concepts, and how many rows each has per concept.

    They are those whose first dimension grows with the concepts.
    """
    with torch.device("meta"):
        fewer = _build(kind, options, concepts).state_dict()
        more = _build(kind, options, concepts + 1).state_dict()
    return {
        name: more[name].shape[0] - tensor.shape[0]
        for name, tensor in fewer.items()
        if tensor.shape != more[name].shape
    }


def load_initial(
    kind: str,
    model: nn.Module,
    head: Mapping[str, int],
    data: bytes,
    weights: InitialWeights,
    concepts: Sequence[str],
) -> None:
    """Load the initial weights; in the head, those of the concepts that both have.

    A vision transformer's positions are interpolated to the size of its images.

    Raises `UnknownRecipe` if they belong to another network.
    """
    tensors = _read_weights(data)
    body = {name: tensor for name, tensor in tensors.items() if name not in head}
    misfit = f"the weights of {weights.origin} do not fit the network"
    if isinstance(model, VisionTransformer) and _POSITIONS in body:
        body = interpolate_embeddings(model.image_size, model.patch_size, OrderedDict(body))
    try:
        # While loading, modules update names and entries of older files.
        lacking = model.load_state_dict(body, strict=False).missing_keys
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise UnknownRecipe(f"{misfit}: {first}") from error
    missing = [name for name in lacking if name not in head]
    if missing:
        raise UnknownRecipe(f"{misfit}: they lack {missing[0]!r}")
    if weights.concepts is not None:
        fresh = model.state_dict()
        background = 1 if kind == DETECTION else 0
        kept = {
            name: _kept_rows(
                fresh[name], tensors[name], numbers, background, weights.concepts, concepts
            )
            for name, numbers in head.items()
        }
        model.load_state_dict(kept, strict=False)


def by_class(tensor: Tensor, numbers: int, classes: int) -> Tensor:
    """A view of a head's tensor whose first dimension is (anchors, classes, numbers of a class).

    Only the boxes of Faster R-CNN have more than one number, and they have no anchors.
    """
    anchors = 1 if tensor.shape[0] == classes * numbers and numbers == 4 else numbers
    return tensor.view(anchors, classes, -1, *tensor.shape[1:])


def _kept_rows(
    fresh: Tensor,
    before: Tensor,
    numbers: int,
    background: int,
    old: Sequence[str],
    new: Sequence[str],
) -> Tensor:
    """The head's tensor with the rows of the concepts that both have; the others stay fresh.

    A detector's first class is the background.
    """
    target = by_class(fresh.clone(), numbers, len(new) + background)
    source = by_class(before, numbers, len(old) + background)
    if background:
        target[:, 0] = source[:, 0]
    for position, concept in enumerate(new):
        if concept in old:
            target[:, position + background] = source[:, old.index(concept) + background]
    return target.flatten(0, 2)


def _read_weights(data: bytes) -> dict[str, Tensor]:
    if _is_safetensors(data):
        return safetensors.torch.load(data)
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise UnknownRecipe("the weights to start from are not a state dict")
    return dict(state)


def _is_safetensors(data: bytes) -> bool:
    """Whether the data begins with a little-endian length and that many bytes of JSON."""
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8:
        return False
    try:
        json.loads(data[8 : 8 + length])
    except ValueError:
        return False
    return True
