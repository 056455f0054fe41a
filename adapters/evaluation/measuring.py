"""The measurement of a worker's predictions: `python -m adapters.evaluation.measuring`.

It reads a file that somebody else wrote, and takes much memory for many boxes. So it runs in a
process of its own, with the request on standard input and the answer on standard output, as JSON.
"""

import logging
import sys
import tempfile
from pathlib import Path

import msgspec

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.evaluation.measurement import SPLITS, MeasureAnswer, Measured, MeasureRequest
from adapters.evaluation.scores import ScoresRefused, join_scores
from adapters.evaluation.split_metrics import box_metrics, label_metrics
from domain.training.messages import ManifestLine


def measure(request: MeasureRequest) -> Measured:
    """Raises `ScoresRefused`, and `OSError` if the blob store does not answer."""
    blobs = BlobStore.from_url(request.blobs_url)
    try:
        manifest = b"".join(blobs.read_compressed(request.manifest))
        lines = msgspec.json.Decoder(ManifestLine).decode_lines(manifest)
        with tempfile.TemporaryDirectory(prefix="stemma-measuring-") as folder:
            source, target = Path(folder, "scores.parquet"), Path(folder, "joined.parquet")
            blobs.copy_to(request.predictions, source)
            splits = SPLITS[request.purpose]
            scored = join_scores(
                source, target, request.kind, request.concepts, lines, has_truth=bool(splits)
            )
            metrics, exact = {}, True
            for split in splits:
                if scored is None:
                    metrics[split] = box_metrics(target, split)
                else:
                    metrics[split], own = label_metrics(request.kind, scored, split)
                    exact = exact and own
            digest = blobs.put_file(target)
    except (BlobMissing, BlobCorrupt) as error:
        raise ScoresRefused(f"the predictions cannot be read: {error}") from error
    blobs.flush()
    return Measured(digest, metrics, exact)


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=MeasureRequest)
    try:
        answer = MeasureAnswer(measure(request))
    except ScoresRefused as refused:
        answer = MeasureAnswer(problem=str(refused))
    except OSError:
        raise  # the blob store or the disk: worth another try
    except Exception as error:
        # Nothing in a file that somebody else wrote may make this be tried for ever.
        logging.exception("predictions %s cannot be measured", request.predictions)
        answer = MeasureAnswer(problem=f"the predictions cannot be measured: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
