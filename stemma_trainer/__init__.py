"""Train with your own code under Stemma.

    from stemma_trainer import Form, Number, trainer

    @trainer("acme/logreg", Form("classification", [Number("epochs", 8, whole=True)]))
    def train(run): ...

    train.serve()

It imports nothing of Stemma: what it does is the contract of docs/own-training.md.
"""

from stemma_trainer.data import Data, Item, Split
from stemma_trainer.form import Choice, Flag, Form, Number, Text
from stemma_trainer.predicting import Prediction
from stemma_trainer.run import Run
from stemma_trainer.serving import Trainer, trainer
from stemma_trainer.steps import NonFinite

__all__ = [
    "Choice",
    "Data",
    "Flag",
    "Form",
    "Item",
    "NonFinite",
    "Number",
    "Prediction",
    "Run",
    "Split",
    "Text",
    "Trainer",
    "trainer",
]
