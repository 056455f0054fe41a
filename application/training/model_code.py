"""Lines of Python that answer as `stemma predict` does, without Stemma.

They read `model.json` and the weights, or the ONNX file, in the current folder. Tests run them.
"""

from collections.abc import Iterator

from domain.dataset.pixels import FULL_DEPTH
from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.architectures import (
    KEEP_ASPECT_RATIO,
    SMALL_DETECTOR,
    SMALL_PYRAMID,
    TIMM_NAMES,
    TORCHVISION_NAMES,
    WITHOUT_AUXILIARY,
    detector_limits,
)
from domain.training.model_description import (
    DESCRIPTION_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    ModelDescription,
)
from domain.training.preprocessing import MEAN, STD

_IMPORTS = ("import json, sys", "import numpy as np", "from PIL import Image, ImageOps")


def torch_code(model: ModelDescription) -> str:
    """By torchvision, or timm where torchvision lacks the network."""
    library = "timm" if model.options.architecture in TIMM_NAMES else "torchvision"
    lines = [*_IMPORTS, f"import torch, {library}", "from safetensors.torch import load_file"]
    lines += [*_read(model), *network_lines(model)]
    lines.append(f'network.load_state_dict(load_file("{WEIGHTS_FILE}"))')
    lines.append("with torch.no_grad():")
    if model.kind == DETECTION:
        lines.append("    found = network(list(torch.from_numpy(pixels)))[0]")
        lines.append('boxes, labels, scores = (found[k] for k in ("boxes", "labels", "scores"))')
    else:
        last = "softmax(1)" if model.kind == CLASSIFICATION else "sigmoid()"
        lines.append(f"    scores = network(torch.from_numpy(pixels)).{last}[0]")
    return "\n".join((*lines, *_print(model.kind)))


def onnx_code(model: ModelDescription) -> str:
    """By onnxruntime."""
    lines = [*_IMPORTS, "import onnxruntime", *_read(model)]
    answers = "boxes, labels, scores" if model.kind == DETECTION else "(scores,), *_"
    lines.append(f'session = onnxruntime.InferenceSession("{ONNX_FILE}")')
    lines.append(f'{answers} = session.run(None, {{"images": pixels}})')
    return "\n".join((*lines, *_print(model.kind)))


def _read(model: ModelDescription) -> Iterator[str]:
    """From the file to `pixels`, the network's input, and the `size` that the image fills of it."""
    options = model.options
    grey_bits = model.preprocessing.grey_bits if model.preprocessing else FULL_DEPTH
    yield "image = ImageOps.exif_transpose(Image.open(sys.argv[1]))"
    yield 'if image.mode.startswith("I;16"):'
    yield f"    grey = np.minimum(np.asarray(image) >> {grey_bits - 8}, 255)"
    yield "    image = Image.fromarray(grey.astype(np.uint8))"
    yield 'image, white = image.convert("RGBA"), Image.new("RGBA", image.size, "white")'
    yield 'image = Image.alpha_composite(white, image).convert("RGB")'
    if options.crops:
        yield from _crop(options.margin_crop)
    elif options.margin_crop:
        yield f"image = ImageOps.crop(image, round(min(image.size) * {options.margin_crop} / 2))"
    width, height = options.input_size
    if options.resizer == KEEP_ASPECT_RATIO:
        yield f"size = [max(1, round(side * ({width} / max(image.size)))) for side in image.size]"
    else:
        yield f"size = [{width}, {height}]"
    yield "image = image.resize(size, Image.Resampling.BILINEAR)"
    if options.resizer == KEEP_ASPECT_RATIO:
        yield f"image = ImageOps.expand(image, (0, 0, {width} - size[0], {height} - size[1]))"
    yield "pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255"
    if model.kind != DETECTION:
        yield f"mean, std = np.reshape([{list(MEAN)}, {list(STD)}], (2, 1, 3, 1, 1))"
        yield "pixels = ((pixels - mean) / std).astype(np.float32)"


def _crop(margin: float) -> Iterator[str]:
    """The box that the arguments name, or the whole image, as the worker's `crop_edges` cuts it."""
    yield "x, y, w, h = map(float, sys.argv[2:6] or [0, 0, 1, 1])  # the box: left, top, and sides"
    yield "W, H = image.size"
    yield f"x, y, w, h = x * W, y * H, w * W, h * H; margin = {margin} * min(w, h)"
    yield "left = min(max(round(x - margin), 0), W - 1)"
    yield "top = min(max(round(y - margin), 0), H - 1)"
    yield "right = max(min(round(x + w + margin), W), left + 1)"
    yield "image = image.crop((left, top, right, max(min(round(y + h + margin), H), top + 1)))"


def _print(kind: str) -> Iterator[str]:
    yield f'concepts = [c["label"] for c in json.load(open("{DESCRIPTION_FILE}"))["concepts"]]'
    if kind != DETECTION:
        yield "print(json.dumps(dict(zip(concepts, map(float, scores)))))"
        return
    yield "for (left, top, right, bottom), label, score in zip(boxes, labels, scores):"
    yield "    box = [left / size[0], top / size[1], right / size[0], bottom / size[1]]"
    yield (
        '    print(json.dumps({"label": concepts[int(label) - 1], "score": float(score),'
        ' "box": [float(side) for side in box]}))'
    )


def network_lines(model: ModelDescription) -> Iterator[str]:
    """Lines that make `network`, as the worker's `build_network` does."""
    options, count = model.options, len(model.concepts)
    key = options.architecture
    if key in TIMM_NAMES:
        yield f'network = timm.create_model("{TIMM_NAMES[key]}", num_classes={count}).eval()'
        return
    if model.kind != DETECTION:
        extra = ", aux_logits=False, init_weights=False" if key in WITHOUT_AUXILIARY else ""
        extra += f", image_size={options.input_size[0]}" if key == "vit_b_16" else ""
        name = f'"{TORCHVISION_NAMES[key]}", num_classes={count}{extra}'
        yield f"network = torchvision.models.get_model({name}).eval()"
        return
    limits = ", ".join(f"{name}={value}" for name, value in detector_limits(key).items())
    if key == SMALL_DETECTOR:
        yield "from torchvision.models.detection import FCOS, backbone_utils"
        yield "from torchvision.ops.feature_pyramid_network import LastLevelP6P7"
        yield "backbone = backbone_utils.BackboneWithFPN("
        yield '    torchvision.models.resnet18(), {"layer2": "0", "layer3": "1", "layer4": "2"},'
        width = SMALL_PYRAMID
        yield f"    [128, 256, 512], {width}, LastLevelP6P7({width}, {width}))"
        yield f"network = FCOS(backbone, {count + 1}, {limits}).eval()"
    else:
        classes = f"weights_backbone=None, num_classes={count + 1}"
        name = f'"{TORCHVISION_NAMES[key]}", {classes}, {limits}'
        yield f"network = torchvision.models.get_model({name}).eval()"
    sides = f"({min(options.input_size)},), {max(options.input_size)}"
    yield f"network.transform.min_size, network.transform.max_size = {sides}"
    yield "network.transform.fixed_size = None"
