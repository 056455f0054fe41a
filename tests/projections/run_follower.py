"""A process that follows the log in small pages until it is killed: its URL is the argument."""

import sys
import time

import projections.follow
from adapters.postgres import engine_for
from application.store import Store
from projections.follow import Follower
from projections.registry import READ_MODELS

projections.follow.PAGE = 3
url = sys.argv[1]
follower = Follower(engine_for(url), Store(url), READ_MODELS)
while True:
    follower.catch_up()
    time.sleep(0.01)
