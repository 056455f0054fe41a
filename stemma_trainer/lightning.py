"""A callback for PyTorch Lightning, which reports a fit to a run.

    callback = StemmaCallback(run, validation_loss="val_loss", validation_accuracy="val_acc")
    Trainer(max_epochs=8, callbacks=[callback], ...).fit(module, ckpt_path=callback.resume_path)

Only the process of rank 0 reports and stores. It needs pytorch-lightning, the extra `lightning`.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from stemma_trainer.run import Run

_LENGTH = 8


class StemmaCallback(Callback):
    """Steps, epochs, the best checkpoint and the state to resume from.

    The names are those that the module logs. The best checkpoint is that with the highest accuracy,
    or mean average precision: a file of Lightning's, at `best_path` once there is one. `more` are
    metrics that are shown as reported by the trainer.
    """

    def __init__(
        self,
        run: Run,
        *,
        validation_loss: str = "val_loss",
        validation_accuracy: str | None = None,
        validation_mean_average_precision: str | None = None,
        more: Sequence[str] = (),
    ) -> None:
        best = validation_accuracy or validation_mean_average_precision
        if best is None:
            raise ValueError("name the accuracy or the mean average precision that is logged")
        self._run, self._more, self._best = run, tuple(more), best
        self._names = {
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "validation_mean_average_precision": validation_mean_average_precision,
        }
        self._folder = tempfile.TemporaryDirectory(prefix="stemma-lightning-")
        self.best_path = Path(self._folder.name, "best.ckpt")
        self._last = Path(self._folder.name, "last.ckpt")
        self.resume_path: str | None = None
        """What to give to `fit` as `ckpt_path`: None at a beginning."""
        if (state := run.resume()) is not None:
            end = _LENGTH + int.from_bytes(state[:_LENGTH], "big")
            self.best_path.write_bytes(state[_LENGTH:end])
            self._last.write_bytes(state[end:])
            self.resume_path = str(self._last)

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.max_epochs is None or trainer.max_epochs < 1 or trainer.max_steps != -1:
            raise ValueError("give the Trainer max_epochs and no max_steps")
        self._run.plan(
            self._run.data.train,
            iterations_per_epoch=int(trainer.num_training_batches),
            epochs=trainer.max_epochs,
        )

    def on_train_batch_end(
        self, trainer: Trainer, _module: LightningModule, outputs: Any, *_: Any
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        rate = trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else 0.0
        self._run.step(loss=float(loss), learning_rate=float(rate))

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        names = {key: name for key, name in self._names.items() if name}
        if missing := [name for name in (*names.values(), *self._more) if name not in found]:
            raise ValueError(f"the module logs no {', '.join(missing)} in its validation")
        metrics = {key: found[name] for key, name in names.items()}
        self._run.epoch(**metrics, more={name: found[name] for name in self._more})
        trainer.save_checkpoint(self._last)  # by all ranks, which meet there
        if trainer.is_global_zero:
            if self._run.is_best(found[self._best]):
                shutil.copyfile(self._last, self.best_path)
                self._run.checkpoint(self.best_path)
            best = self.best_path.read_bytes()
            self._run.save(len(best).to_bytes(_LENGTH, "big") + best + self._last.read_bytes())
        stop = trainer.strategy.reduce_boolean_decision(self._run.stop_early, all=False)
        trainer.should_stop = trainer.should_stop or stop

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        """Give the best checkpoint to all ranks: each may predict with it."""
        own = self.best_path.read_bytes() if trainer.is_global_zero else b""
        best = trainer.strategy.broadcast(own)
        if not trainer.is_global_zero:
            self.best_path.write_bytes(best)
