"""The models that this server offers, and their cards."""

import logging

from fastapi import APIRouter, Request
from pydantic import BaseModel

from server.engine import Engine
from server.problems import described
from translate.runtime.card import Card
from translate.runtime.errors import InvalidModel, ModelNotFound

log = logging.getLogger("server")
router = APIRouter(prefix="/models", tags=["models"])


class Summary(BaseModel):
    """What a list of models shows of each."""

    name: str
    task: str
    source: str
    target: str
    scale: int
    noise: bool
    default: bool


@router.head("", include_in_schema=False)
@router.get("", summary="List the models")
def list_models(request: Request) -> dict[str, list[Summary]]:
    engine: Engine = request.app.state.engine
    found = []
    for name in engine.shelf.store.names():
        try:
            found.append(_summary(engine.shelf.card(name), name, engine.settings.model))
        except ModelNotFound:
            continue  # it was there a moment ago
        except InvalidModel as error:
            log.warning("%s is left out of the list: %s", name, error)
    return {"models": found}


@router.head("/{name}", include_in_schema=False)
@router.get(
    "/{name}", summary="Show a model's card", responses=described({404: "no model of that name", "4XX": "another mistake"})
)
def show_model(request: Request, name: str) -> Card:
    engine: Engine = request.app.state.engine
    return engine.shelf.card(name)


def _summary(card: Card, name: str, default: str) -> Summary:
    return Summary(
        name=name, task=card.task, source=card.source, target=card.target, scale=card.scale,
        noise=card.noise is not None, default=name == default,
    )  # fmt: skip
