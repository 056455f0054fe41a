"""Who predicts other images by the checkpoint of a trainer's version."""

from domain.errors import Conflict
from domain.library.view import DETECTION
from domain.trainers.trainer import ONNX, TrainerUse

_OFFER = (
    "its code can offer it by @train.predictor; then register that with `stemma trainers change"
    " {} FORM`"
)


MOST_ONNX_BYTES = 2 << 30
"""The format's own limit: that of protocol buffers."""


def is_predicted_by_trainer(
    use: TrainerUse, kind: str, size: int, *, predicts: bool, retired: bool
) -> bool:
    """Whether a worker of the trainer predicts, and not one of Stemma's.

    The checkpoint has `size` bytes; `predicts` and `retired` are those of the trainer now. A
    trainer that offers a predictor gets the request; Stemma's own workers predict by ONNX files
    alone, and without boxes. Raises `Conflict` if nobody can, with what to offer.
    """
    if predicts:
        if retired:
            raise Conflict(
                f"the version was trained by {use.name}, which is retired: its workers take no new"
                " requests for predictions"
            )
        return True
    if reads_onnx_of(use, kind) and size <= MOST_ONNX_BYTES:
        return False
    if use.format != ONNX:
        why = f"its checkpoint is {use.format}, so only that code can predict other images"
    elif kind == DETECTION:
        why = "Stemma predicts no boxes by ONNX files"
    else:
        why = f"its ONNX file has {size:,} bytes, and Stemma runs at most {MOST_ONNX_BYTES:,}"
    raise Conflict(
        f"the version was trained by {use.name}, whose code is not Stemma's: {why};"
        f" {_OFFER.format(use.name)}"
    )


def reads_onnx_of(use: TrainerUse, kind: str) -> bool:
    """Whether Stemma itself can predict by the checkpoint of a trainer's version."""
    return use.format == ONNX and kind != DETECTION
