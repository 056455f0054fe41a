"""Who predicts other images by the checkpoint of a trainer's version, and what is to be offered."""

import pytest

from domain.errors import Conflict
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.trainers.predicting import MOST_ONNX_BYTES, is_predicted_by_trainer
from domain.trainers.trainer import FORMATS, ONNX, OPAQUE, SAFETENSORS, TrainerUse


def use(form: str) -> TrainerUse:
    return TrainerUse("id", "acme/logreg", "form", {}, form)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", [CLASSIFICATION, DETECTION])
def test_a_trainer_that_offers_a_predictor_is_asked(form: str, kind: str) -> None:
    assert is_predicted_by_trainer(use(form), kind, 9, predicts=True, retired=False)


@pytest.mark.parametrize("retired", [False, True])
@pytest.mark.parametrize("kind", [CLASSIFICATION, TAGGING])
def test_stemma_predicts_by_onnx(kind: str, retired: bool) -> None:
    assert not is_predicted_by_trainer(
        use(ONNX), kind, MOST_ONNX_BYTES, predicts=False, retired=retired
    )


@pytest.mark.parametrize(
    ("form", "kind", "says"),
    [
        (SAFETENSORS, CLASSIFICATION, "its checkpoint is safetensors, so only that code"),
        (OPAQUE, TAGGING, "its checkpoint is opaque, so only that code"),
        (ONNX, DETECTION, "Stemma predicts no boxes by ONNX files"),
    ],
)
def test_without_a_predictor_it_is_refused_and_says_what_to_offer(
    form: str, kind: str, says: str
) -> None:
    with pytest.raises(Conflict, match=says) as refused:
        is_predicted_by_trainer(use(form), kind, 9, predicts=False, retired=False)
    assert "acme/logreg, whose code is not Stemma's" in refused.value.detail
    assert "@train.predictor" in refused.value.detail
    assert "stemma trainers change acme/logreg FORM" in refused.value.detail


@pytest.mark.parametrize("form", FORMATS)
def test_a_retired_trainer_is_not_asked_and_nobody_else_either(form: str) -> None:
    with pytest.raises(Conflict, match="acme/logreg, which is retired"):
        is_predicted_by_trainer(use(form), CLASSIFICATION, 9, predicts=True, retired=True)


def test_an_onnx_file_that_is_too_large_is_refused() -> None:
    size = MOST_ONNX_BYTES + 1
    with pytest.raises(Conflict, match="its ONNX file has 2,147,483,649 bytes"):
        is_predicted_by_trainer(use(ONNX), TAGGING, size, predicts=False, retired=False)
    assert is_predicted_by_trainer(use(ONNX), TAGGING, size, predicts=True, retired=False)
