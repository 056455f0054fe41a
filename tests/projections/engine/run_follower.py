"""A process that follows the log in small pages until it is killed: its URL is the argument."""

import sys
import time

import projections.engine.follow
from adapters.postgres.postgres import engine_for
from application.log.store import Store
from projections.engine.follow import Follower
from projections.registry import READ_MODELS

projections.engine.follow.PAGE = 3
url = sys.argv[1]
follower = Follower(engine_for(url), Store(url), READ_MODELS)
while True:
    follower.catch_up()
    time.sleep(0.01)
