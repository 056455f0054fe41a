"""Pascal VOC as its development kit, LabelImg, Label Studio, CVAT and Roboflow lay it out."""

from domain.dataset.image import Box
from tests.adapters.formats.corpus.case import (
    BOX,
    IMAGE,
    TEST,
    TRAIN,
    VALIDATION,
    WITHOUT,
    boxed,
    case,
)

FROM_0, FROM_1 = "boxes are counted from 0", "boxes are counted from 1"
FULL = "<object><name>frame</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>200</xmax>" \
    "<ymax>100</ymax></bndbox></object>"  # fmt: skip


def xml(name: str, *, origin: int = 1, objects: bool = True, size: bool = True) -> str:
    """The XML of an image with the box of `case.BOX`, counted from `origin`."""
    box = (
        f"<object><name>cat</name><pose>Unspecified</pose><difficult>0</difficult><bndbox>"
        f"<xmin>{10 + origin}</xmin><ymin>{20 + origin}</ymin><xmax>110</xmax><ymax>70</ymax>"
        "</bndbox></object>"
    )
    sides = "<size><width>200</width><height>100</height><depth>3</depth></size>"
    return (
        f"<annotation><folder>VOC2007</folder><filename>{name}</filename>"
        f"{sides if size else ''}{box if objects else ''}</annotation>"
    )


KIT = "VOCdevkit/VOC2007"
CASES = [
    case(
        "the development kit of 2007",
        "voc",
        {
            **{f"{KIT}/Annotations/00000{n}.xml": xml(f"00000{n}.png") for n in range(1, 5)},
            **{f"{KIT}/JPEGImages/00000{n}.png": IMAGE for n in range(1, 6)},
            f"{KIT}/ImageSets/Main/train.txt": "000001\n",
            f"{KIT}/ImageSets/Main/val.txt": "000002\n",
            f"{KIT}/ImageSets/Main/trainval.txt": "000001\n000002\n",
            f"{KIT}/ImageSets/Main/test.txt": "000003\n",
            f"{KIT}/ImageSets/Main/cat_train.txt": "000001  1\n",
            f"{KIT}/ImageSets/Segmentation/train.txt": "000004\n",
            "VOCdevkit/local/VOC2007/placeholder": "",
        },
        {
            f"{KIT}/JPEGImages/000001.png": (TRAIN, boxed("cat")),
            f"{KIT}/JPEGImages/000002.png": (VALIDATION, boxed("cat")),
            f"{KIT}/JPEGImages/000003.png": (TEST, boxed("cat")),
        },
        left_out=tuple(f"{KIT}/JPEGImages/00000{n}.png" for n in (4, 5)),
        notes=(FROM_1,),
    ),
    case(
        "two years of the development kit",
        "voc",
        {
            **{f"VOC{y}/Annotations/{y}.xml": xml(f"{y}.png") for y in (2007, 2012)},
            **{f"VOC{y}/JPEGImages/{y}.png": IMAGE for y in (2007, 2012)},
        },
        {f"VOC{y}/JPEGImages/{y}.png": (None, boxed("cat")) for y in (2007, 2012)},
        notes=(FROM_1,),
    ),
    case(
        "labelImg: XML beside the images",
        "voc",
        {"a.png": IMAGE, "a.xml": xml("a.png"), "b.png": IMAGE},
        {"a.png": (None, boxed("cat"))},
        left_out=("b.png",),
        notes=(FROM_1,),
    ),
    case(
        "label studio: no ending in <filename>",
        "voc",
        {"Annotations/0a1b-a.xml": xml("0a1b-a"), "images/0a1b-a.png": IMAGE},
        {"images/0a1b-a.png": (None, boxed("cat"))},
        notes=(FROM_1,),
    ),
    case(
        "cvat: boxes from 0, ImageSets/Main/default.txt",
        "voc",
        {
            "Annotations/a.xml": xml("a.png", origin=0).replace(
                "</annotation>", FULL + "</annotation>"
            ),
            "Annotations/b.xml": xml("b.png", objects=False),
            "JPEGImages/a.png": IMAGE,
            "JPEGImages/b.png": IMAGE,
            "ImageSets/Main/default.txt": "a\nb\n",
            "labelmap.txt": "# label:color_rgb:parts:actions\ncat:1,2,3::\n",
        },
        {
            "JPEGImages/a.png": (None, (("cat", BOX), ("frame", Box(0, 0, 1, 1)))),
            "JPEGImages/b.png": (None, WITHOUT),
        },
        notes=(FROM_0, "images without objects are imported as without concept"),
    ),
    case(
        "roboflow: XML in the folder of each split",
        "voc",
        {
            **{f"{part}/{part}.xml": xml(f"{part}.png") for part in ("train", "valid", "test")},
            **{f"{part}/{part}.png": IMAGE for part in ("train", "valid", "test")},
        },
        {
            "train/train.png": (TRAIN, boxed("cat")),
            "valid/valid.png": (VALIDATION, boxed("cat")),
            "test/test.png": (TEST, boxed("cat")),
        },
        notes=(FROM_1,),
    ),
    case(
        "torchvision: Oxford-IIIT Pet with its lists",
        "voc",
        {
            **{f"annotations/xmls/pug_{n}.xml": xml(f"pug_{n}.png") for n in (1, 2)},
            **{f"images/pug_{n}.png": IMAGE for n in (1, 2, 3)},
            "annotations/trainval.txt": "pug_1 1 1 1\n",
            "annotations/test.txt": "pug_2 1 1 1\n",
            "annotations/list.txt": "#Image CLASS-ID SPECIES BREED ID\npug_1 1 1 1\n",
        },
        {"images/pug_1.png": (None, boxed("cat")), "images/pug_2.png": (TEST, boxed("cat"))},
        left_out=("images/pug_3.png",),
        notes=(FROM_1,),
    ),
    case(
        "fiftyone: VOCDetectionDataset, without a size",
        "voc",
        {"labels/a.xml": xml("a.png", size=False), "data/a.png": IMAGE},
        {"data/a.png": (None, boxed("cat"))},
        notes=(FROM_1,),
    ),
]
