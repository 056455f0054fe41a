"""A trainer of its own: a module of PyTorch Lightning."""

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from stemma_trainer import Form, Number, Run, trainer
from stemma_trainer.lightning import StemmaCallback

SIDE = 8
FORM = Form(
    "classification",
    [
        Number("epochs", 8, "Epochs", least=1, most=1000, whole=True),
        Number("learning_rate", 0.01, "Learning rate", least=0),
        Number("seed", 0, "Seed", whole=True),
    ],
)


def pixels(item):
    image = Image.open(item.path).convert("L").resize((SIDE, SIDE))
    return torch.from_numpy(np.array(image, np.float32)).ravel() / 255


class Linear(pl.LightningModule):
    def __init__(self, concepts, learning_rate):
        super().__init__()
        self.network, self.learning_rate = nn.Linear(SIDE * SIDE, concepts), learning_rate

    def training_step(self, batch, _number):
        images, labels = batch
        return functional.cross_entropy(self.network(images), labels)

    def validation_step(self, batch, _number):
        images, labels = batch
        logits = self.network(images)
        self.log("val_loss", functional.cross_entropy(logits, labels))
        self.log("val_acc", (logits.argmax(1) == labels).float().mean())
        self.log("confidence", logits.softmax(1).amax(1).mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.learning_rate)


@trainer("acme/lightning-module", FORM, packages=("pytorch-lightning", "torch"))
def train(run: Run):
    pl.seed_everything(run.seed, verbose=False)
    data, settings = run.data, run.settings
    train, validation = (
        split.torch(lambda item: (pixels(item), item.concepts[0]))
        for split in (data.train, data.validation)
    )
    module = Linear(len(run.concepts), settings.learning_rate)
    callback = StemmaCallback(run, validation_accuracy="val_acc", more=["confidence"])
    fitting = pl.Trainer(
        max_epochs=settings.epochs,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    fitting.fit(
        module,
        DataLoader(train, batch_size=16, shuffle=True),
        DataLoader(validation, batch_size=1000),
        ckpt_path=callback.resume_path,
    )
    best = torch.load(callback.best_path, weights_only=True)
    module.load_state_dict(best["state_dict"])

    @torch.no_grad()
    def scores(items):
        return module.network(torch.stack([pixels(item) for item in items])).softmax(1)

    run.predict(data.all, scores)


if __name__ == "__main__":
    train.serve()
