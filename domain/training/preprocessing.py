"""How an image becomes a network's input and what its outputs are, for programs without Stemma."""

import msgspec

from domain.dataset.pixels import BACKGROUND, DECODER_RULE, FULL_DEPTH
from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.architectures import KEEP_ASPECT_RATIO
from domain.training.options import TrainingOptions

# ImageNet's, as in torchvision's own recipes; of red, green and blue as shares of 255.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


_CROP = (
    "the box, in shares of the upright image, with margin_crop of its shorter side added on each"
    " side; its edges rounded to pixels, within the image"
)


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to an image, in the order of the fields.

    `decoder` is the number of the rule by which files become pixels. `width` and `height` are the
    network's input. `mean` and `std` are of values that `scale` has multiplied; detectors normalise
    their input themselves. `crop` says what is cut out of the image first, with the margin of
    `margin_crop`; without it, `margin_crop` is cut off the whole image.
    """

    decoder: int
    orientation: str
    transparency: str
    background: tuple[int, int, int]
    grey_bits: int
    colour_profile: str
    colour_order: str
    crop: str | None = None
    margin_crop: float
    resize: str
    width: int
    height: int
    resize_filter: str
    padding: str | None
    scale: float
    normalisation: str
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    layout: str
    dtype: str


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the network answers: from the weights in torch, and from the ONNX file.

    Output i, or label i + `label_offset` of a detector, is concept i.
    """

    torch: str
    onnx: str
    label_offset: int
    boxes: str | None


def preprocessing(
    kind: str, options: TrainingOptions, grey_bits: int | None = None
) -> Preprocessing:
    width, height = options.input_size
    keeps_aspect = options.resizer == KEEP_ASPECT_RATIO
    is_detector = kind == DETECTION
    return Preprocessing(
        decoder=DECODER_RULE,
        orientation="upright, by the EXIF orientation",
        transparency="composited on the background",
        background=BACKGROUND,
        grey_bits=grey_bits or FULL_DEPTH,
        colour_profile="ignored",
        colour_order="RGB",
        crop=_CROP if options.crops else None,
        margin_crop=options.margin_crop,
        resize="longest side to width, aspect ratio kept"
        if keeps_aspect
        else "to width and height",
        width=width,
        height=height,
        resize_filter="bilinear with antialiasing (PIL.Image.Resampling.BILINEAR)",
        padding="right and bottom, with 0 before scaling" if keeps_aspect else None,
        scale=1 / 255,
        normalisation="inside the network" if is_detector else "less the mean, by the deviation",
        mean=None if is_detector else MEAN,
        std=None if is_detector else STD,
        layout="NCHW",
        dtype="float32",
    )


def outputs(kind: str) -> Outputs:
    if kind == DETECTION:
        return Outputs(
            torch="boxes, labels and scores of each image, after non-maximum suppression",
            onnx="boxes, labels and scores of one image, after non-maximum suppression",
            label_offset=1,
            boxes="left, top, right, bottom in pixels of the network's input",
        )
    name = "softmax" if kind == CLASSIFICATION else "sigmoid"
    return Outputs(
        torch=f"logits: {name} is not inside",
        onnx=f"scores: {name} is inside",
        label_offset=0,
        boxes=None,
    )
