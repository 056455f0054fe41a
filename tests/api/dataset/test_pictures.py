"""Thumbnails and the annotation page's pictures show the pixels that training gets."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from domain.dataset.project import GreyDepthChosen
from tests.adapters.images.odd import HEIGHT, ODD, REFUSED, WIDTH, Odd, encoded
from tests.api.dataset.test_images import upload
from tests.api.scene import Scene

LOSSY = 24
"""How far a value of a thumbnail may be off: WebP halves the resolution of colours."""


def shown(site: Scene, image: str, part: str) -> tuple[np.ndarray, str]:
    answer = site.http.get(f"/api/v1/images/{image}/{part}")
    assert answer.status_code == 200, answer.text
    picture: Image.Image = Image.open(io.BytesIO(answer.content))
    assert "icc_profile" not in picture.info
    # As a browser does, which is given JPEG only where it is turned.
    kind = answer.headers["content-type"]
    if kind == "image/jpeg":
        picture = ImageOps.exif_transpose(picture)
    return np.asarray(picture.convert("RGB")).astype(int), kind


@pytest.mark.parametrize("name", ODD)
def test_thumbnail_and_picture_are_the_pixels_of_the_rule(site: Scene, name: str) -> None:
    odd: Odd = ODD[name]
    (image,) = upload(site, site.project(), ("a.bin", odd.data)).json()["ids"]
    site.visible()
    picture, _ = shown(site, image, "picture")
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(picture - odd.pixels).max() <= odd.tolerance
    thumbnail, kind = shown(site, image, "thumbnail")
    assert kind == "image/webp"
    assert thumbnail.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(thumbnail - odd.pixels).mean() <= LOSSY / 2


def test_an_ordinary_picture_is_the_file_itself(site: Scene) -> None:
    data = encoded(Image.new("RGB", (50, 40), "teal"), "JPEG")
    (image,) = upload(site, site.project(), ("a.jpg", data)).json()["ids"]
    site.visible()
    answer = site.http.get(f"/api/v1/images/{image}/picture")
    assert (answer.content, answer.headers["content-type"]) == (data, "image/jpeg")
    again = site.http.get(
        f"/api/v1/images/{image}/picture", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


def test_pictures_follow_the_depth_that_the_project_chooses(site: Scene) -> None:
    project = site.project()
    dim = encoded(Image.fromarray(np.full((HEIGHT, WIDTH), 1000, np.uint16)))
    (image,) = upload(site, project, ("dim.png", dim)).json()["ids"]
    site.visible()
    assert shown(site, image, "picture")[0].max() == 1000 >> 2
    bright = encoded(Image.fromarray(np.full((HEIGHT, WIDTH), 4000, np.uint16)))
    upload(site, project, ("bright.png", bright))
    site.visible()
    for part in ("picture", "thumbnail"):
        assert abs(shown(site, image, part)[0].max() - (1000 >> 4)) <= 2
    stream = f"project-{project}"
    chosen = [
        recorded.event
        for recorded in site.store.streams([stream])[stream]
        if isinstance(recorded.event, GreyDepthChosen)
    ]
    assert chosen == [GreyDepthChosen(10), GreyDepthChosen(12)]
    # Another project of the same bytes has a depth of its own.
    other = site.project()
    (same,) = upload(site, other, ("dim.png", dim)).json()["ids"]
    site.visible()
    assert shown(site, same, "picture")[0].max() == 1000 >> 2
    assert shown(site, image, "picture")[0].max() == 1000 >> 4


@pytest.mark.parametrize("name", REFUSED)
def test_an_upload_refuses_what_cannot_train_by_file_name(site: Scene, name: str) -> None:
    answer = upload(site, site.project(), ("scan.tif", REFUSED[name]))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "scan.tif"
    assert "BytesIO" not in error["detail"]
