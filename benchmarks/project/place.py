"""Where this process works: what ``stage.py`` wrote into its environment."""

import json
import os
from functools import cache

import redis

PLACE = json.loads(os.environ["BENCHMARK"])
DATABASE: str = PLACE["database"]
REDIS: str = PLACE["redis"]


@cache
def client() -> redis.Redis:
    return redis.Redis.from_url(REDIS)
