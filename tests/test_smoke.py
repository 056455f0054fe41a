import msgspec, pytest, uuid, time
from application.handle import handle, Request
from application import projects, views, versions
from domain.image import AddImage, AnnotateImage, Annotation
from domain.project import DrawValidationSplit
from domain.options import OptionsRequest
from projections.follow import Follower
from projections.registry import READ_MODELS
from projections import catalog, library_queries, dataset, rebuild
import hashlib

def req(): 
    i=str(uuid.uuid4()); return Request(actor="me", command_id=i, correlation_id=i)

def test_smoke(store, engine):
    p = handle(store, req(), lambda s: projects.create_project(s, "Digits")).id
    v = handle(store, req(), lambda s: views.create_view(s, p, "which", "classification")).id
    c = handle(store, req(), lambda s: views.add_concepts(s, v, ["a","b"])).ids
    adds=[AddImage(p, hashlib.sha256(str(i).encode()).hexdigest(), 8, 8, f"{i}.png") for i in range(100)]
    ids = handle(store, req(), lambda s: projects.add_images(s, p, adds)).ids
    t=time.time()
    handle(store, req(), lambda s: projects.annotate_images(s, [(x, AnnotateImage(v,(Annotation(c[i%2]),))) for i,x in enumerate(ids)]))
    print("annot", time.time()-t)
    handle(store, req(), lambda s: projects.draw_validation_split(s, p, DrawValidationSplit(0.2, 7)))
    o = handle(store, req(), lambda s: versions.train_view(s, v, None, OptionsRequest(architecture="resnet18", image_size=32)))
    f=Follower(engine, store, READ_MODELS)
    t=time.time(); print("pages", f.catch_up(), time.time()-t)
    with engine.connect() as con:
        print(library_queries.library(con, v))
        print(dataset.count_images(con,p), dataset.count_concepts(con,v))
        print(catalog.find_view(con, v))
        print(dataset.list_images(con,p,view_id=v,limit=2,split="validation"))
    for rm in READ_MODELS:
        assert rebuild.compare(engine, store, rm) == []
        rebuild.rebuild(engine, store, rm)
        assert rebuild.compare(engine, store, rm) == []
