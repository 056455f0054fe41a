"""A trainer of its own: logistic regression by stochastic gradient descent, with scikit-learn."""

import io

import numpy as np
from PIL import Image
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, log_loss

from stemma_trainer import Form, Number, Prediction, Run, trainer

SIDE, RATE = 8, 0.05
FORM = Form(
    "classification",
    [
        Number("epochs", 8, "Epochs", least=1, most=1000, whole=True),
        Number("penalty", 0.0001, "L2 penalty", least=0),
        Number("seed", 0, "Seed", whole=True),
    ],
)


def pixels(items):
    """Grey values of the images, (images, pixels)."""
    images = (Image.open(item.path).convert("L").resize((SIDE, SIDE)) for item in items)
    return np.stack([np.asarray(image, np.float64).ravel() / 255 for image in images])


def dump(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@trainer("acme/logreg", FORM, packages=("numpy", "scikit-learn"))
def train(run: Run):
    data, epochs, classes = run.data, run.settings.epochs, np.arange(len(run.concepts))
    model = SGDClassifier(
        loss="log_loss", alpha=run.settings.penalty, learning_rate="constant", eta0=RATE
    )
    held_out = pixels(data.validation)
    model.partial_fit(pixels(data.train[:1]), data.train.labels[:1], classes)
    model.coef_[:], model.intercept_[:] = 0, 0
    first, best = 0, None
    if state := run.resume():
        saved = np.load(io.BytesIO(state))
        model.coef_, model.intercept_, model.t_ = saved["coef"], saved["intercept"], saved["t"]
        first, best = int(saved["epoch"]), (saved["best_coef"], saved["best_intercept"])
    run.plan(data.train, batch=32, epochs=epochs)
    for epoch in range(first, epochs):
        for batch in data.train.batches(32, seed=(run.seed, epoch)):
            x, y = pixels(batch), [item.concepts[0] for item in batch]
            loss = log_loss(y, model.predict_proba(x), labels=classes)
            run.step(loss=loss, learning_rate=RATE)
            model.partial_fit(x, y)
        scores = model.predict_proba(held_out)
        accuracy = accuracy_score(data.validation.labels, scores.argmax(1))
        loss = log_loss(data.validation.labels, scores, labels=classes)
        run.epoch(validation_loss=loss, validation_accuracy=accuracy)
        if run.is_best(accuracy):
            best = model.coef_.copy(), model.intercept_.copy()
            run.checkpoint(dump(coef=best[0], intercept=best[1]))
        run.save(
            dump(
                epoch=epoch + 1,
                coef=model.coef_,
                intercept=model.intercept_,
                t=model.t_,
                best_coef=best[0],
                best_intercept=best[1],
            )
        )
        if run.stop_early:
            break
    model.coef_, model.intercept_ = best
    run.predict(data.all, lambda items: model.predict_proba(pixels(items)))


@train.predictor
def predict(request: Prediction, weights, images):
    """The scores of other images, such as those of the test set."""
    saved = np.load(weights)  # of arrays alone: nothing is unpickled
    model = SGDClassifier(loss="log_loss")
    model.classes_ = np.arange(len(request.concepts))
    model.coef_, model.intercept_ = saved["coef"], saved["intercept"]
    for batch in images.batches(256):
        yield from model.predict_proba(pixels(batch))


if __name__ == "__main__":
    train.serve()
