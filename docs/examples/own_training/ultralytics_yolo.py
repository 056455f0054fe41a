"""A trainer of its own: a detector of Ultralytics, by the callbacks of its own trainer.

Ultralytics has the AGPL-3.0: it is in no lock file of Stemma, and Stemma's tests do not run this.
"""

import tempfile
from pathlib import Path

import torch
from PIL import Image
from ultralytics import YOLO

from stemma_trainer import Choice, Form, Number, Run, trainer

FORM = Form(
    "detection",
    [
        Number("epochs", 20, "Epochs", least=1, most=1000, whole=True),
        Number("batch", 16, "Batch size", least=1, whole=True),
        Number("image_size", 640, "Image size", least=32, whole=True),
        Number("learning_rate", 0.01, "Learning rate", least=0),
        Choice("network", "yolo11n", ("yolo11n", "yolo11s", "yolo11m"), "Network"),
        Number("seed", 0, "Seed", whole=True),
    ],
)
LEAST_SCORE = 0.001
LOSSES = ("box", "cls", "dfl")
LENGTH = 8


class Reports:
    """Reports batches and epochs of Ultralytics; `best` and `last` are its checkpoints so far."""

    def __init__(self, run: Run):
        self.run, self.epochs, self.best, self.last = run, 0, b"", b""
        if (state := run.resume()) is not None:
            self.epochs, size = (
                int.from_bytes(state[place : place + LENGTH], "big") for place in (0, LENGTH)
            )
            self.best, self.last = state[2 * LENGTH :][:size], state[2 * LENGTH + size :]

    def add_to(self, model: YOLO):
        model.add_callback("on_train_batch_end", self.batch_done)
        model.add_callback("on_model_save", self.saved)

    def batch_done(self, training):
        rate = training.optimizer.param_groups[0]["lr"]
        self.run.step(loss=float(training.loss), learning_rate=rate)

    def saved(self, training):
        """After an epoch and its validation, when `last.pt` is written."""
        run, metrics = self.run, training.metrics
        precision = float(metrics["metrics/mAP50-95(B)"])
        run.epoch(
            validation_loss=sum(float(metrics[f"val/{name}_loss"]) for name in LOSSES),
            validation_mean_average_precision=precision,
            more={"map_50": metrics["metrics/mAP50(B)"]},
        )
        self.epochs, self.last = self.epochs + 1, training.last.read_bytes()
        if run.is_best(precision):  # `best.pt` is the best by a measure of Ultralytics' own
            self.best = self.last
            run.checkpoint(self.best)
        numbers = (self.epochs, len(self.best))
        run.save(b"".join(n.to_bytes(LENGTH, "big") for n in numbers) + self.best + self.last)
        training.stop = training.stop or run.stop_early


@trainer("acme/ultralytics-yolo", FORM, packages=("ultralytics", "torch"))
def train(run: Run):
    settings, reports = run.settings, Reports(run)
    run.plan(run.data.train, batch=settings.batch, epochs=settings.epochs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if reports.epochs < settings.epochs and not (reports.epochs and run.stop_early):
            fit(run, reports, folder)
        best = folder / "best.pt"
        best.write_bytes(reports.best)
        detector = YOLO(best)

        def boxes(items):
            found = []
            for item in items:  # as images: files in the cache have no ending
                image = Image.open(item.path).convert("RGB")
                (result,) = detector.predict(
                    image, imgsz=settings.image_size, conf=LEAST_SCORE, verbose=False
                )
                found.append([box_of(row) for row in result.boxes])
            return found

        run.predict(run.data.all, boxes)


def fit(run, reports, folder):
    settings, last = run.settings, folder / "last.pt"
    last.write_bytes(reports.last)
    model = YOLO(last if reports.epochs else f"{settings.network}.yaml")
    reports.add_to(model)
    model.train(
        data=str(run.data.yolo(folder / "dataset")),
        epochs=settings.epochs,
        batch=settings.batch,
        imgsz=settings.image_size,
        lr0=settings.learning_rate,
        optimizer="SGD",
        seed=settings.seed,
        resume=bool(reports.epochs),
        pretrained=False,
        save_dir=str(folder / "run"),
        device="0" if torch.cuda.is_available() else "cpu",
        workers=0,
        plots=False,
    )


def box_of(row):
    x, y, width, height = row.xywhn[0].tolist()
    return {
        "concept": int(row.cls),
        "score": float(row.conf),
        "x": max(x - width / 2, 0.0),
        "y": max(y - height / 2, 0.0),
        "width": width,
        "height": height,
    }


if __name__ == "__main__":
    train.serve()
