"""An import takes what an upload takes: by content, and with the depth of 16-bit grey chosen."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from adapters.dataset.imports.report import ReportLine
from application.dataset.dataset import grey_bits_of
from application.log.store import Store
from domain.dataset.imports import ImportChecked, ImportCompleted, ImportRefused, ImportRules
from domain.dataset.project import GreyDepthChosen
from tests.adapters.dataset.importing import Importer, png, write_files
from tests.adapters.images.odd import REFUSED, encoded, ramp


@pytest.fixture
def importer(store: Store, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", store.database_url)


def grey(value: int) -> bytes:
    return encoded(Image.fromarray(np.full((6, 8), value, np.uint16)))


def depths(importer: Importer) -> list[int]:
    events = importer.store.read(0, names=["project.grey_depth_chosen"])
    return [one.event.bits for one in events if isinstance(one.event, GreyDepthChosen)]


def test_an_import_chooses_the_depth_of_its_16_bit_grey_once(
    importer: Importer, tmp_path: Path
) -> None:
    files = {f"cat/{value}.png": grey(value) for value in (700, 3000, 4095)}
    source = write_files(tmp_path / "scans", files | {"cat/colour.png": png(1)})
    checked = importer.take(source, rules=ImportRules(dry_run=True))
    assert isinstance(checked, ImportChecked)
    assert depths(importer) == []
    done = importer.take(source)
    assert isinstance(done, ImportCompleted)
    assert depths(importer) == [12]
    assert done.counts.notes == 1
    assert done.report is not None
    (line,) = importer.blobs.get(done.report).splitlines()
    assert "16-bit grey up to 4,095 is read by the upper 8 of 12 bits" in (
        msgspec.json.decode(line, type=ReportLine).text
    )
    importer.take(source)
    assert depths(importer) == [12]
    head = importer.store.head()
    importer.take(write_files(tmp_path / "more", {"cat/full.png": grey(60_000)}))
    assert depths(importer) == [12, 16]
    assert grey_bits_of(importer.store, importer.project) == 16
    assert grey_bits_of(importer.store, importer.project, upto=head) == 12


def test_an_import_without_16_bit_grey_chooses_nothing(importer: Importer, tmp_path: Path) -> None:
    importer.take(write_files(tmp_path / "pets", {"cat/1.png": png(1)}))
    assert depths(importer) == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_train_is_refused_by_file_name(
    importer: Importer, tmp_path: Path, name: str
) -> None:
    """Whether its name ends as an image's or not."""
    files = {"cat/1.png": png(1), "cat/scan.tif": REFUSED[name], "cat/IMG_1.heic": REFUSED[name]}
    refused = importer.take(write_files(tmp_path / "scans", files))
    assert isinstance(refused, ImportRefused)
    reasons = {problem.where: problem.reason for problem in refused.first}
    assert reasons.keys() == {"cat/scan.tif", "cat/IMG_1.heic"}
    assert reasons["cat/scan.tif"].startswith("scan.tif: ")
    assert "remove it" not in reasons["cat/IMG_1.heic"]
    assert importer.images() == {}


def test_an_image_is_known_by_its_content_as_in_an_upload(
    importer: Importer, tmp_path: Path
) -> None:
    jpeg = encoded(Image.fromarray(ramp()), "JPEG")
    avif = encoded(Image.fromarray(ramp()), "AVIF")
    files = {"cat/photo.jfif": jpeg, "cat/bare": png(3), "cat/new.avif": avif}
    done = importer.take(write_files(tmp_path / "pets", files))
    assert isinstance(done, ImportCompleted)
    names = sorted(image.added.file_name for image in importer.images().values())
    assert names == ["bare", "new.avif", "photo.jfif"]


def test_an_annotation_file_alone_needs_its_images(importer: Importer, tmp_path: Path) -> None:
    for name, reason in (("x.json", "needs its images"), ("x.bin", "not a zip or tar")):
        source = write_files(tmp_path, {name: '{"images": []}'}) / name
        ending = importer.take(source)
        assert isinstance(ending, ImportRefused)
        assert reason in ending.reason
