"""The networks that can be trained, with the options that suit each."""

import msgspec

from domain.library.view import CLASSIFICATION, DETECTION, TAGGING

MOMENTUM, RMSPROP, ADAM, NADAM, RADAM = "momentum", "rmsprop", "adam", "nadam", "radam"
OPTIMIZERS = {
    MOMENTUM: "Momentum",
    RMSPROP: "RMSProp",
    ADAM: "Adam",
    NADAM: "Nadam",
    RADAM: "RAdam",
}
STEPPED = (MOMENTUM, RMSPROP)
"""Those that share a learning rate, lowered in steps; the others follow one cycle."""

FIXED, KEEP_ASPECT_RATIO = "fixed", "keep_aspect_ratio"
IMAGENET, COCO = "imagenet", "coco"


class Rates(msgspec.Struct, frozen=True):
    """Initial learning rates: of Momentum and RMSProp, and of the Adam family."""

    stepped: float
    adaptive: float


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """A network the worker can build. Sizes are in pixels.

    `weights` is the file of its pretrained weights, by what they were trained on. `smallest` is the
    least side of an image that it can take, `square` that it takes no others.
    """

    key: str
    label: str
    kinds: tuple[str, ...]
    batch_size: int
    side: int
    scratch: Rates
    pretrained: Rates
    weights: dict[str, str]
    optimizer: str = MOMENTUM
    resizer: str = FIXED
    smallest: int = 32
    square: bool = False


_FROM_SCRATCH = Rates(0.02, 1e-3)
_DETECTOR_FROM_SCRATCH = Rates(0.01, 1e-3)


def _classifier(
    key: str,
    label: str,
    side: int,
    rates: tuple[float, float],
    weights: str,
    *,
    batch_size: int = 32,
    scratch: Rates = _FROM_SCRATCH,
    optimizer: str = NADAM,
    smallest: int = 32,
    square: bool = False,
) -> Architecture:
    return Architecture(
        key=key,
        label=label,
        kinds=(CLASSIFICATION, TAGGING),
        batch_size=batch_size,
        side=side,
        scratch=scratch,
        pretrained=Rates(*rates),
        weights={IMAGENET: weights},
        optimizer=optimizer,
        smallest=smallest,
        square=square,
    )


def _detector(
    key: str,
    label: str,
    side: int,
    rate: float,
    weights: str | None,
    *,
    batch_size: int,
    resizer: str = FIXED,
    scratch: Rates = _DETECTOR_FROM_SCRATCH,
    smallest: int = 64,
) -> Architecture:
    return Architecture(
        key=key,
        label=label,
        kinds=(DETECTION,),
        batch_size=batch_size,
        side=side,
        scratch=scratch,
        pretrained=Rates(rate, 1e-4),
        weights={} if weights is None else {COCO: weights},
        resizer=resizer,
        smallest=smallest,
    )


_ALL = (
    _classifier("efficientnet_b0", "EfficientNet B0", 224, (0.032, 2e-5),
                "efficientnet_b0_rwightman-7f5810bc.pth", scratch=Rates(0.032, 2e-3)),
    _classifier("efficientnet_b1", "EfficientNet B1", 240, (0.032, 2e-5),
                "efficientnet_b1-c27df63c.pth", scratch=Rates(0.032, 2e-3)),
    _classifier("efficientnet_b2", "EfficientNet B2", 256, (0.032, 2e-5),
                "efficientnet_b2_rwightman-c35c1473.pth", scratch=Rates(0.032, 2e-3)),
    _classifier("efficientnet_b3", "EfficientNet B3", 304, (0.032, 2e-5),
                "efficientnet_b3_rwightman-b3899882.pth", scratch=Rates(0.032, 2e-3)),
    _classifier("efficientnet_b4", "EfficientNet B4", 384, (0.016, 2e-5),
                "efficientnet_b4_rwightman-23ab8bcd.pth", batch_size=16,
                scratch=Rates(0.016, 1e-3)),
    _classifier("efficientnet_b5", "EfficientNet B5", 464, (0.008, 2e-5),
                "efficientnet_b5_lukemelas-1a07897c.pth", batch_size=8,
                scratch=Rates(0.008, 1e-3)),
    _classifier("efficientnet_b6", "EfficientNet B6", 528, (0.004, 2e-5),
                "efficientnet_b6_lukemelas-24a108a5.pth", batch_size=4,
                scratch=Rates(0.004, 1e-3)),
    _classifier("inception_v1", "Inception v1 (GoogLeNet)", 224, (0.01, 4e-5),
                "googlenet-1378be20.pth"),
    _classifier("inception_v3", "Inception v3", 304, (0.005, 3e-5),
                "inception_v3_google-0cc3c7bd.pth", smallest=80),
    _classifier("inception_v4", "Inception v4", 304, (0.005, 4e-5),
                "inception_v4.tf_in1k.safetensors", smallest=80),
    _classifier("inception_resnet_v2", "Inception-ResNet v2", 304, (0.005, 4e-5),
                "inception_resnet_v2.tf_in1k.safetensors", smallest=80),
    _classifier("resnet18", "ResNet 18", 224, (0.01, 9e-6), "resnet18-f37072fd.pth"),
    _classifier("resnet50", "ResNet 50", 224, (0.01, 9e-6), "resnet50-11ad3fa6.pth"),
    _classifier("resnet101", "ResNet 101", 224, (0.01, 5e-6), "resnet101-cd907fc2.pth"),
    _classifier("resnet152", "ResNet 152", 224, (0.01, 3e-6), "resnet152-f82ba261.pth"),
    _classifier("mobilenet_v1", "MobileNet v1", 224, (0.01, 1e-5),
                "mobilenetv1_100.ra4_e3600_r224_in1k.safetensors"),
    _classifier("mobilenet_v2", "MobileNet v2", 224, (0.01, 1.5e-5), "mobilenet_v2-7ebf99e0.pth"),
    _classifier("mobilenet_v3_small", "MobileNet v3 small", 224, (0.01, 1.5e-5),
                "mobilenet_v3_small-047dcff4.pth", scratch=Rates(0.02, 2e-3)),
    _classifier("mobilenet_v3_large", "MobileNet v3 large", 224, (0.01, 1.5e-5),
                "mobilenet_v3_large-5c1a4163.pth", scratch=Rates(0.02, 2e-3)),
    _classifier("vgg16", "VGG 16", 224, (0.005, 1e-5), "vgg16-397923af.pth",
                scratch=Rates(0.01, 1e-4), optimizer=MOMENTUM),
    _classifier("convnext_tiny", "ConvNeXt tiny", 224, (0.01, 5e-5),
                "convnext_tiny-983f1562.pth", scratch=Rates(0.02, 5e-4)),
    _classifier("swin_t", "Swin tiny", 224, (0.01, 5e-5), "swin_t-704ceda3.pth",
                scratch=Rates(0.01, 3e-4)),
    _classifier("vit_b_16", "ViT B/16", 224, (0.01, 2e-5), "vit_b_16-c867db91.pth",
                scratch=Rates(0.01, 1e-4), square=True),
    _detector("fcos_resnet18_fpn", "FCOS, ResNet 18", 256, 0.004, None, batch_size=8,
              scratch=Rates(0.01, 5e-4)),
    _detector("ssdlite320_mobilenet_v3_large", "SSDLite, MobileNet v3", 320, 0.004,
              "ssdlite320_mobilenet_v3_large_coco-a79551df.pth", batch_size=24),
    _detector("ssd300_vgg16", "SSD, VGG 16", 304, 0.004, "ssd300_vgg16_coco-b556d3b4.pth",
              batch_size=24, scratch=Rates(0.002, 1e-4), smallest=304),
    _detector("fasterrcnn_mobilenet_v3_large_fpn", "Faster R-CNN, MobileNet v3", 1024, 0.0003,
              "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth", batch_size=1,
              resizer=KEEP_ASPECT_RATIO),
    _detector("fasterrcnn_resnet50_fpn", "Faster R-CNN, ResNet 50", 1024, 0.0003,
              "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", batch_size=1,
              resizer=KEEP_ASPECT_RATIO),
    _detector("fasterrcnn_resnet50_fpn_v2", "Faster R-CNN v2, ResNet 50", 1024, 0.0003,
              "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", batch_size=1,
              resizer=KEEP_ASPECT_RATIO),
    _detector("retinanet_resnet50_fpn", "RetinaNet, ResNet 50", 512, 0.001,
              "retinanet_resnet50_fpn_coco-eeacb38b.pth", batch_size=4,
              resizer=KEEP_ASPECT_RATIO),
    _detector("fcos_resnet50_fpn", "FCOS, ResNet 50", 512, 0.001,
              "fcos_resnet50_fpn_coco-99b0c9b7.pth", batch_size=4, resizer=KEEP_ASPECT_RATIO),
)  # fmt: skip
ARCHITECTURES = {architecture.key: architecture for architecture in _ALL}

DEFAULT_ARCHITECTURES = {
    CLASSIFICATION: "efficientnet_b0",
    TAGGING: "efficientnet_b0",
    DETECTION: "fcos_resnet18_fpn",
}


def architectures_for(kind: str) -> list[Architecture]:
    return [architecture for architecture in _ALL if kind in architecture.kinds]


TIMM_NAMES = {
    "inception_v4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "mobilenet_v1": "mobilenetv1_100",
}
"""timm's names of the networks that it builds for us."""

_OTHER_NAMES = {"inception_v1": "googlenet"}
TORCHVISION_NAMES = {
    key: _OTHER_NAMES.get(key, key)
    for key, architecture in ARCHITECTURES.items()
    if architecture.weights and key not in TIMM_NAMES
}
"""torchvision's names of the builders for which it has weights."""

WITHOUT_AUXILIARY = ("inception_v1", "inception_v3")
"""Networks whose further heads, for training as in their papers, are left out."""

SMALL_DETECTOR = "fcos_resnet18_fpn"
"""The detector that is put together of torchvision's parts."""
SMALL_PYRAMID = 128
"""Channels of its feature pyramid; torchvision's others have 256."""

DETECTOR_LIMITS = {"score_thresh": 0.01, "nms_thresh": 0.6, "detections_per_img": 100}
"""The least score, the IoU from which only the best of overlapping boxes is kept, and the most
boxes of an image."""


def detector_limits(key: str) -> dict[str, float]:
    """The limits by the names that the detector's builder takes them by."""
    prefix = "box_" if key.startswith("fasterrcnn") else ""
    return {f"{prefix}{name}": value for name, value in DETECTOR_LIMITS.items()}
