"""Every option trains, and is resumed to the bit; every network is built and started from."""

import io
import random
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.errors import Invalid
from domain.training.architectures import ARCHITECTURES, STEPPED
from domain.training.form import KINDS
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    EpochMetrics,
    Evaluated,
    InitialWeights,
)
from domain.training.options import TrainingOptions, resolve_options
from gpu_worker.checkpoint import weights
from gpu_worker.networks import UnknownRecipe, build_network, head_of, load_initial
from gpu_worker.recipe import (
    build_optimizer,
    build_scheduler,
    compute_narrow_inputs_in_float32,
)
from tests.domain.training.test_options import forms
from tests.gpu_worker.at_hand import train_version
from tests.gpu_worker.samples import encoded, figures, final_weights, of_type
from tests.gpu_worker.test_kinds import job_of

LIGHT = {
    "classification": ["mobilenet_v3_small", "mobilenet_v1"],
    "tagging": ["mobilenet_v3_small", "mobilenet_v2"],
    "detection": ["fcos_resnet18_fpn", "ssdlite320_mobilenet_v3_large"],
}
AUGMENTED = [
    "horizontal_flip",
    "vertical_flip",
    "rotation_90",
    "brightness",
    "contrast",
    "random_crop",
    "patch_noise",
]
EVERYTHING: list[dict[str, Any]] = [
    {"optimizer": "momentum", "augmentations": AUGMENTED, "balancing": True},
    {"optimizer": "rmsprop", "augmentations": ["auto_augment"], "weight_decay": 0.001},
    {"optimizer": "adam", "precision": "bf16", "gradient_clip_norm": 0.5},
    {"optimizer": "nadam", "augmentations": ["random_crop"], "freeze_backbone_epochs": 1.4},
    {"optimizer": "radam", "precision": "fp16", "augmentations": AUGMENTED, "patience": 9},
]


@pytest.fixture
def nats_url() -> str:
    return ""


class Killed(BaseException):
    """Stands for a process that is gone: nothing in the training may catch it."""


def light(kind: str, blobs: BlobStore, **options: Any) -> Any:
    small = {"architecture": LIGHT[kind][0], "epochs": 2.0, "width": 32, "height": 32}
    if kind == "detection":
        small |= {"width": 64, "height": 64}
    return job_of(kind, blobs, **(small | options))


@pytest.mark.parametrize(
    ("kind", "options"),
    [*(("classification", one) for one in EVERYTHING), ("tagging", EVERYTHING[0]),
     ("detection", EVERYTHING[3])],
    ids=lambda one: one if isinstance(one, str) else one["optimizer"],
)  # fmt: skip
def test_whatever_the_options_a_resumed_training_has_the_same_weights(
    kind: str, options: dict[str, Any], settings: Settings, blobs: BlobStore
) -> None:
    job = light(kind, blobs, **options)
    undisturbed: list[AnyReport] = []
    train_version(msgspec.structs.replace(job, version_id="a"), 1, settings, blobs,
                  undisturbed.append)  # fmt: skip
    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    choose = random.Random(f"{kind} {options}")
    ends = [*sorted(choose.sample(range(2, 9), 2)), 1000]
    said: list[AnyReport] = []
    for delivery, last in enumerate(ends, start=1):

        def say(report: AnyReport, last: int = last) -> None:
            if isinstance(report, BatchMetrics) and report.first_iteration >= last:
                raise Killed
            said.append(report)

        try:
            train_version(msgspec.structs.replace(job, version_id="b"), delivery, often, blobs, say)
        except Killed:
            continue
    assert figures(said) == figures(undisturbed)
    # What lies after the last checkpoint is said again, and is the same.
    assert encoded(of_type(EpochMetrics, said)) == encoded(of_type(EpochMetrics, undisturbed))
    assert of_type(Evaluated, said) == of_type(Evaluated, undisturbed)
    assert final_weights(said) == final_weights(undisturbed)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_form_that_is_not_refused_trains(
    kind: str, data: st.DataObject, settings: Settings, blobs: BlobStore
) -> None:
    """Two iterations on small images by light networks, whatever else the form says."""
    filled = data.draw(forms(kind)) | {
        "architecture": data.draw(st.sampled_from(LIGHT[kind])),
        "batch_size": data.draw(st.integers(1, 40)),
        "start_from": None,
        "pretrained": "none",
        "width": data.draw(st.sampled_from([64, 80])),
        "height": data.draw(st.sampled_from([64, 96])),
        "max_dimension": 64,
        "initial_learning_rate": data.draw(st.floats(0, 1e-3)),
    }
    try:
        options = resolve_options(kind, filled)
    except Invalid:
        return
    options = msgspec.structs.replace(options, epochs=None, iterations=2)
    job = msgspec.structs.replace(job_of(kind, blobs), options=options)
    said: list[AnyReport] = []
    train_version(job, 1, settings, blobs, said.append)
    assert sorted(figures(said)) == [0, 1]


@pytest.mark.parametrize("optimizer", STEPPED)
@pytest.mark.parametrize("iterations", [1, 2, 3, 100])
def test_the_first_iteration_has_the_full_rate(optimizer: str, iterations: int) -> None:
    given = {"optimizer": optimizer, "initial_learning_rate": 0.5}
    options = resolve_options("classification", given)
    built = build_optimizer(options, [torch.nn.Parameter(torch.zeros(1))])
    build_scheduler(options, built, iterations)
    assert built.param_groups[0]["lr"] == 0.5


def options_of(key: str) -> tuple[str, TrainingOptions]:
    network = ARCHITECTURES[key]
    return network.kinds[0], resolve_options(network.kinds[0], {"architecture": key})


@pytest.mark.parametrize("key", ARCHITECTURES)
def test_every_architecture_is_built_with_an_output_for_each_concept(key: str) -> None:
    kind, options = options_of(key)
    with torch.device("meta"):
        model = build_network(kind, options, 7)
    head = head_of(kind, options, 7)
    assert head
    state = model.state_dict()
    for name, numbers in head.items():
        assert state[name].shape[0] % numbers == 0
        assert state[name].shape[0] // numbers in (7, 8)


def test_every_architecture_is_known_to_the_worker() -> None:
    unknown = resolve_options("classification", {"architecture": "resnet18"})
    with pytest.raises(UnknownRecipe, match="resnet9000"):
        build_network(
            "classification", msgspec.structs.replace(unknown, architecture="resnet9000"), 2
        )


@pytest.mark.parametrize(
    "key",
    ["resnet18", "mobilenet_v1", "vit_b_16", "fcos_resnet18_fpn",
     "ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_fpn"],
)  # fmt: skip
def test_concepts_that_stayed_keep_their_part_of_the_head(key: str) -> None:
    kind, options = options_of(key)
    before = build_network(kind, options, 3)
    kept = InitialWeights("", "version-1", ("cat", "dog", "owl"))
    after = build_network(kind, msgspec.structs.replace(options, seed=9), 2)
    fresh = {name: one.clone() for name, one in after.state_dict().items()}
    head = head_of(kind, options, 2)
    load_initial(kind, after, head, weights(before), kept, ["owl", "elk"])
    old, new = before.state_dict(), after.state_dict()
    background = 1 if kind == "detection" else 0
    for name, tensor in new.items():
        if name not in head:
            assert torch.equal(tensor, old[name]), name
            continue
        anchors = 1 if "bbox_pred" in name else head[name]
        ours = tensor.view(anchors, 2 + background, -1)
        theirs = old[name].view(anchors, 3 + background, -1)
        own = fresh[name].view(anchors, 2 + background, -1)
        assert torch.equal(ours[:, background], theirs[:, 2 + background])
        assert torch.equal(ours[:, 1 + background], own[:, 1 + background])
        if background:
            assert torch.equal(ours[:, 0], theirs[:, 0])


def test_pretrained_weights_leave_the_head_fresh() -> None:
    kind, options = options_of("resnet18")
    given = build_network(kind, options, 1000)
    model = build_network(kind, msgspec.structs.replace(options, seed=5), 2)
    fresh = model.state_dict()["fc.weight"].clone()
    head = head_of(kind, options, 2)
    load_initial(kind, model, head, weights(given), InitialWeights("", "imagenet"), ["a", "b"])
    assert torch.equal(model.state_dict()["fc.weight"], fresh)
    assert torch.equal(model.state_dict()["conv1.weight"], given.state_dict()["conv1.weight"])


OLDER_NAMES = {
    "vit_b_16": [(".mlp.0.", ".mlp.linear_1."), (".mlp.3.", ".mlp.linear_2.")],
    "fasterrcnn_mobilenet_v3_large_fpn": [
        (".inner_blocks.0.0.", ".inner_blocks.0."),
        (".layer_blocks.0.0.", ".layer_blocks.0."),
        (".head.conv.0.0.", ".head.conv."),
    ],
}


@pytest.mark.parametrize("key", OLDER_NAMES)
def test_files_of_pretrained_weights_may_be_older_than_the_network(key: str) -> None:
    """torchvision's have other names, and of frozen batch normalisation no count of batches."""
    kind, options = options_of(key)
    given = build_network(kind, msgspec.structs.replace(options, seed=5), 90)
    older = {}
    for name, tensor in given.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        called = name
        for new, old in OLDER_NAMES[key]:
            called = called.replace(new, old)
        older[called] = tensor
    file = io.BytesIO()
    torch.save(older, file)
    model, head = build_network(kind, options, 2), head_of(kind, options, 2)
    load_initial(kind, model, head, file.getvalue(), InitialWeights("", "imagenet"), ["a", "b"])
    theirs = given.state_dict()
    for name, tensor in model.state_dict().items():
        assert name in head or torch.equal(tensor, theirs[name]), name


def test_a_vision_transformer_starts_from_weights_for_images_of_another_size() -> None:
    kind, options = options_of("vit_b_16")
    given = build_network(kind, options, 2)
    larger = msgspec.structs.replace(options, width=256, height=256, seed=5)
    model, head = build_network(kind, larger, 2), head_of(kind, larger, 2)
    kept = InitialWeights("", "version-1", ("a", "b"))
    load_initial(kind, model, head, weights(given), kept, ["a", "b"])
    scores = model.eval()(torch.zeros(1, 3, 256, 256))
    assert torch.allclose(scores, given.eval()(torch.zeros(1, 3, 224, 224)), atol=0.1)
    ours, theirs = model.state_dict(), given.state_dict()
    assert torch.equal(ours["conv_proj.weight"], theirs["conv_proj.weight"])


def test_weights_of_another_network_are_refused() -> None:
    kind, options = options_of("resnet18")
    other = build_network(kind, resolve_options(kind, {"architecture": "mobilenet_v2"}), 2)
    model, head = build_network(kind, options, 2), head_of(kind, options, 2)
    with pytest.raises(UnknownRecipe, match="do not fit"):
        load_initial(kind, model, head, weights(other), InitialWeights("", "v"), ["a", "b"])


@pytest.mark.parametrize("height", [1, 2, 5])
def test_on_a_cpu_the_gradients_of_a_narrow_input_in_bfloat16_are_those_of_float32(
    height: int,
) -> None:
    torch.manual_seed(height)
    convolution = torch.nn.Conv2d(256, 256, 3, stride=2, padding=1)
    network = torch.nn.Sequential(convolution)
    compute_narrow_inputs_in_float32(network)
    images = torch.randn(2, 256, height, 1)

    def gradients(precision: AbstractContextManager[object]) -> list[torch.Tensor]:
        network.zero_grad()
        # What is freed here is what an operator that leaves its result unwritten shows.
        torch.full((convolution.weight.numel(),), float("nan"))
        with precision:
            found = network(images)
        found.float().square().sum().backward()
        return [torch.as_tensor(weights.grad).clone() for weights in network.parameters()]

    for mixed, whole in zip(
        gradients(torch.autocast("cpu", torch.bfloat16)), gradients(nullcontext()), strict=True
    ):
        torch.testing.assert_close(mixed, whole)


def test_the_smallest_epsilon_leaves_a_weight_without_a_gradient_as_it_is() -> None:
    with pytest.raises(Invalid, match="epsilon is 0; it must be from 1e-08 to 1"):
        resolve_options("classification", {"optimizer": "rmsprop", "epsilon": 0})
    options = resolve_options("classification", {"optimizer": "rmsprop", "epsilon": 1e-8})
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.zeros(1)
    build_optimizer(options, [weight]).step()
    assert weight.item() == 1
