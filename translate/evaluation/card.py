"""Puts measures into a translator's card: its file's metadata, the card for people, and the sums beside them."""

from collections.abc import Mapping
from pathlib import Path

import onnx

from translate.modelcard import markdown
from translate.runtime.card import METADATA_KEY, Card
from translate.runtime.store import sha256
from translate.training.checkpoint import write_atomically

SUMS = "SHA256SUMS"


def write_card(path: Path, metrics: Mapping[str, float], test_set: str, name: str = "") -> Card:
    """Replaces the metrics of the translator at `path` and what they were measured on; its graph keeps every bit.

    With `name`, only the measures of the test set of that name, `name/…`, beside those of others. The `.md` beside the file is
    written anew, and its line in a `SHA256SUMS` beside it where there is one. Raises `ValueError` for what is no translator.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:  # protobuf's errors have no common base
        raise ValueError(f"{path} cannot be read as an .onnx file: {error}") from error
    graph = model.graph.SerializeToString(deterministic=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    card = measured(Card.from_metadata(metadata, str(path)), metrics, test_set, name)
    onnx.helper.set_model_props(model, metadata | {METADATA_KEY: card.model_dump_json()})
    written = model.SerializeToString()
    if onnx.load_model_from_string(written).graph.SerializeToString(deterministic=True) != graph:
        raise ValueError(f"{path} would not keep its graph; it is left as it was")
    write_atomically(path, written)
    write_atomically(path.with_suffix(".md"), markdown(card))
    _sum_again(path)
    return card


def measured(card: Card, metrics: Mapping[str, float], test_set: str, name: str = "") -> Card:
    """The card with these metrics. Test sets of other names keep theirs, each told as `name: test set`; what was told of all of
    them goes when each has been measured anew."""
    if name:
        others = {key: value for key, value in card.metrics.items() if not key.startswith(f"{name}/")}
        sets = {key.rpartition("/")[0] for key in others}
        told = [part for part in card.test_set.split("; ") if part and not part.startswith(f"{name}: ")]
        own = {of: part for of in sets for part in told if part.startswith(f"{of}: ")}
        told = [part for part in told if part in own.values() or own.keys() != sets]
        metrics, test_set = others | dict(metrics), "; ".join([*told, f"{name}: {test_set}"])
    return Card.model_validate(card.model_dump() | {"metrics": dict(metrics), "test_set": test_set})


def _sum_again(path: Path) -> None:
    sums = path.with_name(SUMS)
    if not sums.is_file():
        return
    lines = [line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines()]
    if any(line[1:] == [path.name] for line in lines):
        told = (f"{sha256(path) if name == path.name else digest}  {name}" for digest, name in lines)
        write_atomically(sums, "".join(f"{line}\n" for line in told))
