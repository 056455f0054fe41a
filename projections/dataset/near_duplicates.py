"""Queries of near-duplicates: images of a project that look alike and are in different splits.

What is near is found by the service `hashes`; the splits are those of the dataset.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
    func,
    select,
    tuple_,
)

from domain.dataset.image import TRAIN, image_id
from domain.dataset.pixels import HASH_RULE
from projections.dataset.dataset import images

FEED = f"hashes {HASH_RULE}"
"""The feed of the service, whose position says which images are compared."""

FARTHEST = 7
"""The largest distance that is stored."""

NEAR = 6
"""The distance that counts by default (docs/decisions/0053)."""

MOST_OF_A_CLUSTER = 10_000

near_images = Table(
    "near_images",
    MetaData(schema="work"),
    Column("blob", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("distance", SmallInteger, nullable=False),
)


class NearImage(msgspec.Struct, frozen=True):
    image_id: str
    file_name: str
    split: str
    width: int
    height: int


class NearPair(msgspec.Struct, frozen=True):
    """A training image and one of another split that looks like it; the distance is the number of
    bits in which their perceptual hashes differ, of 64."""

    train: NearImage
    held_out: NearImage
    distance: int

    @property
    def cursor(self) -> str:
        return f"{self.distance}/{self.train.image_id}/{self.held_out.image_id}"


class NearCounts(msgspec.Struct, frozen=True):
    """The number of pairs, and of the validation and test images in them."""

    pairs: int
    held_out: int


def list_near_pairs(
    connection: Connection,
    project_id: str,
    distance: int,
    *,
    after: tuple[int, str, str] | None = None,
    limit: int = 50,
) -> list[NearPair]:
    """Pairs that leak from training into validation or test, the nearest first; `after` is the
    last pair seen, by distance and ids."""
    query, train, other = _pairs(project_id, distance)
    place = near_images.c.distance, train.c.image_id, other.c.image_id
    query = query.order_by(*place).limit(limit)
    if after is not None:
        query = query.where(tuple_(*place) > after)
    own = NearImage.__struct_fields__
    rows = connection.execute(
        query.with_only_columns(
            near_images.c.distance,
            *(train.c[name].label(f"train_{name}") for name in own),
            *(other.c[name].label(f"other_{name}") for name in own),
        )
    )
    return [
        NearPair(
            NearImage(*(row[f"train_{name}"] for name in own)),
            NearImage(*(row[f"other_{name}"] for name in own)),
            row["distance"],
        )
        for row in rows.mappings()
    ]


def count_near_pairs(connection: Connection, project_id: str, distance: int) -> NearCounts:
    query, _, other = _pairs(project_id, distance)
    counted = query.with_only_columns(func.count(), func.count(other.c.image_id.distinct()))
    pairs, held_out = connection.execute(counted).one()
    return NearCounts(pairs, held_out)


def near_cluster(
    connection: Connection, project_id: str, blobs: Collection[str], distance: int
) -> set[str]:
    """The ids of the project's images that are connected with some of these by pairs that are near,
    these included. It is not followed beyond `MOST_OF_A_CLUSTER`."""
    cluster = set[str]()
    found = set(blobs)
    while found and len(cluster) < MOST_OF_A_CLUSTER:
        ids = [image_id(project_id, each) for each in found]
        present = select(images.c.image_id, images.c.blob).where(
            images.c.image_id.in_(ids), images.c.valid_to.is_(None)
        )
        rows = connection.execute(present).all()
        cluster |= {row.image_id for row in rows}
        following = (
            select(near_images.c.other)
            .distinct()
            .where(
                near_images.c.blob.in_([row.blob for row in rows]),
                near_images.c.distance <= distance,
            )
        )
        others = set(connection.execute(following).scalars())
        found = {each for each in others if image_id(project_id, each) not in cluster}
    return cluster


def _pairs(project_id: str, distance: int) -> tuple[Select[Any], Any, Any]:
    train, other = images.alias("train"), images.alias("held_out")
    query = (
        select(near_images.c.distance)
        .join(train, train.c.blob == near_images.c.blob)
        .join(other, other.c.blob == near_images.c.other)
        .where(
            near_images.c.distance <= distance,
            *(image.c.project_id == project_id for image in (train, other)),
            *(image.c.valid_to.is_(None) for image in (train, other)),
            train.c.split == TRAIN,
            other.c.split != TRAIN,
        )
    )
    return query, train, other
