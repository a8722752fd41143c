"""The places in which an ordeal can act, by name; one is a class of `place.py` and an entry here."""

import json
from contextlib import AbstractAsyncContextManager

from deploy.dev import Stack
from tests.faults.place import Place
from tests.faults.places_counting import command_place, http_place
from tests.faults.places_servers import kubernetes_place, postgres_place, temporal_place

PLACES = {
    "http": http_place,
    "command": command_place,
    "postgres": postgres_place,
    "temporal": temporal_place,
    "kubernetes": kubernetes_place,
}


def placed(name: str, stack: Stack) -> AbstractAsyncContextManager[Place]:
    """A place of its own."""
    return PLACES[name](stack)


def told(place: Place) -> dict[str, str]:
    """What a worker process is told of it."""
    return {name: json.dumps(value) for name, value in place.config.items()}
