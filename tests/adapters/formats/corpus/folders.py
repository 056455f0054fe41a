"""Folders of classes as torchvision, Ultralytics, Kaggle and FiftyOne lay them out."""

from tests.adapters.formats.corpus.case import IMAGE, TEST, TRAIN, VALIDATION, case

NO_IMAGE = "files that are not images are left out"
CASES = [
    case(
        "torchvision: ImageFolder with other files beside it",
        "folders",
        {
            "cat/a.png": IMAGE,
            "dog/b.png": IMAGE,
            "README.md": "# Pets",
            "LICENSE": "CC0",
            "classes.json": '{"0": "cat", "1": "dog"}',
            "sizes.csv": "what,how many\ncats,1\n",
            "cat/notes.txt": "a cat",
        },
        {"cat/a.png": (None, "cat"), "dog/b.png": (None, "dog")},
        notes=(NO_IMAGE,),
    ),
    case(
        "torchvision: Food101 with its lists",
        "folders",
        {
            **{f"images/pie/{n}.png": IMAGE for n in (1, 2, 3)},
            "meta/train.txt": "pie/1\n",
            "meta/test.txt": "pie/2\n",
            "meta/classes.txt": "pie\n",
            "meta/labels.txt": "Apple pie\n",
        },
        {"images/pie/1.png": (TRAIN, "pie"), "images/pie/2.png": (TEST, "pie")},
        left_out=("images/pie/3.png",),
    ),
    case(
        "ultralytics: classify with train, val and test",
        "folders",
        {f"{part}/cat/{part}.png": IMAGE for part in ("train", "val", "test")},
        {
            "train/cat/train.png": (TRAIN, "cat"),
            "val/cat/val.png": (VALIDATION, "cat"),
            "test/cat/test.png": (TEST, "cat"),
        },
    ),
    case(
        "kaggle: training_set and test_set, each in a folder of its own name",
        "folders",
        {"training_set/cats/cats/a.png": IMAGE, "test_set/cats/b.png": IMAGE},
        {
            "training_set/cats/cats/a.png": (TRAIN, "cats"),
            "test_set/cats/b.png": (TEST, "cats"),
        },
    ),
    case(
        "kaggle: test images without labels",
        "folders",
        {
            "train/cat/a.png": IMAGE,
            "train/dog/b.png": IMAGE,
            "test/1.png": IMAGE,
            "test/images/2.png": IMAGE,
        },
        {"train/cat/a.png": (TRAIN, "cat"), "train/dog/b.png": (TRAIN, "dog")},
        left_out=("test/1.png", "test/images/2.png"),
    ),
    case(
        "a list of test images beside the classes",
        "folders",
        {
            "cat/a.png": IMAGE,
            "cat/b.png": IMAGE,
            "train.txt": "cat/a.png\n",
            "test.txt": "cat/b.png\n",
        },
        {"cat/a.png": (TRAIN, "cat"), "cat/b.png": (TEST, "cat")},
    ),
]
