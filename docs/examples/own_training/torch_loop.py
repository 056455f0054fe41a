"""A trainer of its own: a small convolutional network in a loop of PyTorch's."""

import io

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from stemma_trainer import Form, Number, Run, trainer

SIDE = 16
FORM = Form(
    "classification",
    [
        Number("epochs", 8, "Epochs", least=1, most=1000, whole=True),
        Number("learning_rate", 0.01, "Learning rate", least=0),
        Number("seed", 0, "Seed", whole=True),
    ],
)


def pixels(items):
    images = (Image.open(item.path).convert("L").resize((SIDE, SIDE)) for item in items)
    return torch.stack([torch.from_numpy(np.array(one, np.float32)) / 255 for one in images])[
        :, None
    ]


def dump(**state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@trainer("acme/torch-loop", FORM, packages=("torch", "numpy"))
def train(run: Run):
    torch.manual_seed(run.seed)
    data, settings = run.data, run.settings
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(128, len(run.concepts)),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), settings.learning_rate, momentum=0.9)
    first, best = 0, None
    if state := run.resume():
        saved = torch.load(io.BytesIO(state), weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first, best = saved["epoch"], saved["best"]
    held_out, truth = pixels(data.validation), torch.tensor(data.validation.labels)
    run.plan(data.train, batch=16, epochs=settings.epochs)
    for epoch in range(first, settings.epochs):
        for batch in data.train.batches(16, seed=(run.seed, epoch)):
            labels = torch.tensor([item.concepts[0] for item in batch])
            loss = functional.cross_entropy(model(pixels(batch)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.step(loss=loss.item(), learning_rate=settings.learning_rate)
        with torch.no_grad():
            logits = model(held_out)
        loss = functional.cross_entropy(logits, truth).item()
        accuracy = (logits.argmax(1) == truth).float().mean().item()
        run.epoch(validation_loss=loss, validation_accuracy=accuracy)
        if run.is_best(accuracy):
            best = {name: value.clone() for name, value in model.state_dict().items()}
            run.checkpoint(dump(model=best))
        own = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        run.save(dump(epoch=epoch + 1, best=best, **own))
        if run.stop_early:
            break
    model.load_state_dict(best)

    @torch.no_grad()
    def scores(items):
        return model(pixels(items)).softmax(1)

    run.predict(data.all, scores)


if __name__ == "__main__":
    train.serve()
