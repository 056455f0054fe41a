import time, pytest, threading
from pathlib import Path
from playwright.sync_api import Browser
from domain.messages import Failed
OUT=Path("/tmp/shots"); OUT.mkdir(exist_ok=True)
def shoot(chromium, url, name, schemes=("light","dark"), widths=(1440,400), act=None, wait=None):
    for scheme in schemes:
        for w in widths:
            ctx=chromium.new_context(color_scheme=scheme, viewport={"width":w,"height":900})
            p=ctx.new_page()
            p.on("console", lambda m: print(name,"CONSOLE",m.type,m.text) if m.type!="log" else None)
            p.on("pageerror", lambda e: print(name,"PAGEERROR",e))
            p.goto(url)
            if wait: p.wait_for_selector(wait)
            if act: act(p)
            p.screenshot(path=OUT/f"{name}-{scheme}-{w}.png", full_page=act is None)
            ctx.close()
def test_play(server, chromium: Browser):
    s=server
    e=s.project("Empty one"); ev=s.view(e); s.visible()
    pid, vid = s.trainable("Handwritten digits", images=70)
    v1=s.version(vid, architecture="resnet18", image_size=32)
    s.begin(v1)
    for n,(l,h) in enumerate([(1.4,1.2),(0.8,.6),(.5,.7),(.3,.9)],1): s.epoch(v1,n,loss=l,held_out=h)
    s.finish(v1)
    s.concepts(vid, *"two three four five six seven eight nine".split())
    vf=s.version(vid); s.begin(vf); s.report(vf, Failed("out of GPU memory at batch size 512: choose a smaller batch size or image size"))
    v2=s.version(vid, architecture="mobilenet_v3_small", epochs=4); s.begin(v2); s.epoch(v2,1,loss=1.3,held_out=1.1); s.epoch(v2,2,loss=.9,held_out=.8)
    v3=s.version(vid)
    s.visible()
    shoot(chromium, s.url+"/", "home", ("light",),(1440,))
    shoot(chromium, f"{s.url}/views/{vid}", "view", ("light",),(1100,800,400))
    shoot(chromium, f"{s.url}/versions/{v2}", "version-live", ("light",),(800,), act=lambda p:p.wait_for_timeout(2500))
