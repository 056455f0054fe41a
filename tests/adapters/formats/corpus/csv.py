"""Tables as TensorFlow's tutorials, RetinaNet, AutoML, VIA, Open Images, Kaggle and others write
them."""

from tests.adapters.formats.corpus.case import IMAGE, TEST, TRAIN, VALIDATION, WITHOUT, boxed, case

AB = {"a.png": IMAGE, "b.png": IMAGE}
BOTH = {"a.png": (None, "cat"), "b.png": (None, "dog")}
NEGATIVE = "images without boxes are imported as without concept"
VIA = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
    "region_attributes\n"
    'a.png,99,"{}",1,0,"{""name"":""rect"",""x"":10,""y"":20,""width"":100,""height"":50}",'
    '"{""type"":""cat""}"\n'
    'b.png,99,"{}",1,0,"{""name"":""polygon"",""all_points_x"":[10,110,110],""all_points_y"":'
    '[20,20,70]}","{""type"":{""dog"":true}}"\n'
    'c.png,99,"{}",0,0,"{}","{}"\n'
)
CASES = [
    case(
        "tensorflow: a table for each split",
        "csv",
        {
            **{
                f"{part}_labels.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                f"{part}.png,200,100,cat,10,20,110,70\n"
                for part in ("train", "val", "test")
            },
            **{f"images/{part}.png": IMAGE for part in ("train", "val", "test")},
        },
        {
            "images/train.png": (TRAIN, boxed("cat")),
            "images/val.png": (VALIDATION, boxed("cat")),
            "images/test.png": (TEST, boxed("cat")),
        },
    ),
    case(
        "roboflow: TensorFlow's table in the folder of each split",
        "csv",
        {
            **{
                f"{part}/_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                "a.png,200,100,cat,10,20,110,70\n"
                for part in ("train", "valid", "test")
            },
            **{f"{part}/a.png": IMAGE for part in ("train", "valid", "test")},
        },
        {
            "train/a.png": (TRAIN, boxed("cat")),
            "valid/a.png": (VALIDATION, boxed("cat")),
            "test/a.png": (TEST, boxed("cat")),
        },
    ),
    case(
        "retinanet: no header, absolute paths, an image without boxes",
        "csv",
        {
            "annotations.csv": "/data/imgs/a.png,10,20,110,70,cat\n/data/imgs/b.png,,,,,\n",
            "classes.csv": "cat,0\n",
            "imgs/a.png": IMAGE,
            "imgs/b.png": IMAGE,
        },
        {"imgs/a.png": (None, boxed("cat")), "imgs/b.png": (None, WITHOUT)},
        notes=(NEGATIVE,),
    ),
    case(
        "automl: boxes of images in a bucket, with their sets",
        "csv",
        {
            "annotations.csv": "TRAINING,gs://pets/a.png,cat,0.05,0.2,,,0.55,0.7,,\n"
            "VALIDATION,gs://pets/b.png,dog,0.05,0.2,0.55,0.2,0.55,0.7,0.05,0.7\n"
            "TEST,gs://pets/c.png,cat,0.05,0.2,,,0.55,0.7,,\n"
            "UNASSIGNED,gs://pets/d.png,,,,,,,,,\n",
            **{f"{stem}.png": IMAGE for stem in "abcd"},
        },
        {
            "a.png": (TRAIN, boxed("cat")),
            "b.png": (VALIDATION, boxed("dog")),
            "c.png": (TEST, boxed("cat")),
            "d.png": (None, WITHOUT),
        },
        notes=(NEGATIVE,),
    ),
    case(
        "automl: labels of images",
        "csv",
        {"all_data.csv": "gs://pets/x/a.png,cat\ngs://pets/x/b.png,dog\n", **AB},
        BOTH,
    ),
    case(
        "via: regions in JSON",
        "csv",
        {"via_region_data.csv": VIA, **AB, "c.png": IMAGE},
        {"a.png": (None, boxed("cat")), "b.png": (None, boxed("dog")), "c.png": (None, None)},
    ),
    case(
        "open images: edges in shares, ids without endings",
        "csv",
        {
            "train-annotations-bbox.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
            "IsOccluded\na,xclick,/m/01yrx,1,0.05,0.55,0.2,0.7,0\n",
            "a.png": IMAGE,
        },
        {"a.png": (TRAIN, boxed("/m/01yrx"))},
        notes=("column 'Source'", "column 'Confidence'", "column 'IsOccluded'"),
    ),
    case(
        "kaggle: image_id,label, with a test table and a sample submission",
        "csv",
        {
            "train.csv": "image_id,label\na,cat\nb,dog\n",
            "test.csv": "image_id\nc\n",
            "sample_submission.csv": "image_id,label\nc,cat\n",
            **{f"train_images/{stem}.png": IMAGE for stem in "ab"},
            "test_images/c.png": IMAGE,
        },
        {
            f"train_images/{stem}": (TRAIN, label)
            for stem, label in (("a.png", "cat"), ("b.png", "dog"))
        },
        left_out=("test_images/c.png",),
    ),
    case(
        "kaggle: labels.csv beside train/ and test/",
        "csv",
        {
            "labels.csv": "id,category\n0a1b,cat\n2c3d,dog\n",
            "sample_submission.csv": "id,cat,dog\n4e5f,0.5,0.5\n",
            "train/0a1b.png": IMAGE,
            "train/2c3d.png": IMAGE,
            "test/4e5f.png": IMAGE,
        },
        {"train/0a1b.png": (TRAIN, "cat"), "train/2c3d.png": (TRAIN, "dog")},
        left_out=("test/4e5f.png",),
    ),
    case(
        "label studio: CSV with paths of its server",
        "csv",
        {
            "project-1.csv": "image,id,label,annotator\n/data/upload/1/a.png,7,cat,2\n",
            "a.png": IMAGE,
        },
        {"a.png": (None, "cat")},
        notes=("column 'id'", "column 'annotator'"),
    ),
    case(
        "kaggle: a column named data set",
        "csv",
        {
            "sports.csv": "class id,filepaths,labels,data set\n0,train/a.png,cat,train\n"
            "0,valid/b.png,cat,valid\n0,test/c.png,cat,test\n",
            **dict.fromkeys(("train/a.png", "valid/b.png", "test/c.png"), IMAGE),
        },
        {
            "train/a.png": (TRAIN, "cat"),
            "valid/b.png": (VALIDATION, "cat"),
            "test/c.png": (TEST, "cat"),
        },
        notes=("column 'class id'",),
    ),
    case(
        "deepforest: image_path",
        "csv",
        {"a.csv": "image_path,xmin,ymin,xmax,ymax,label\na.png,10,20,110,70,Tree\n", **AB},
        {"a.png": (None, boxed("Tree"))},
        left_out=("b.png",),
    ),
    case(
        "vott: quoted",
        "csv",
        {
            "pets-export.csv": '"image","xmin","ymin","xmax","ymax","label"\n'
            '"a.png",10.0,20.0,110.0,70.0,"cat"\n',
            "a.png": IMAGE,
        },
        {"a.png": (None, boxed("cat"))},
    ),
    case(
        "makesense: spans in pixels",
        "csv",
        {
            "labels.csv": "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,"
            "image_height\ncat,10,20,100,50,a.png,200,100\n",
            "a.png": IMAGE,
        },
        {"a.png": (None, boxed("cat"))},
    ),
    case(
        "excel: semicolons", "csv", {"labels.csv": "file;label\na.png;cat\nb.png;dog\n", **AB}, BOTH
    ),
    case("tabs", "csv", {"labels.tsv": "file\tlabel\na.png\tcat\nb.png\tdog\n", **AB}, BOTH),
    case(
        "pandas: an index column",
        "csv",
        {"labels.csv": ",filename,class\n0,a.png,cat\n1,b.png,dog\n", **AB},
        BOTH,
    ),
]
