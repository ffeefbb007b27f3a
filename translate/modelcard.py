"""Model card for people: Markdown with a YAML head in the Hugging Face form, generated from a Card and never typed."""

import json

from translate.runtime.card import Card


def markdown(card: Card) -> str:
    """The text of `<name>.md` beside `<name>.onnx`."""
    # JSON's strings and lists are YAML's as well.
    head = {
        "pipeline_tag": "image-to-image",
        "library_name": "onnx",
        "license": "other",
        "license_name": card.licence or "unknown",
        "tags": ["image-to-image", "onnx", card.task],
        "datasets": card.data,
    }
    measures = "\n".join(f"| {name} | {value:.4g} |" for name, value in card.metrics.items())
    tiling = {
        "exact": f"exact: tiles that overlap by {card.reach} pixels, cut at multiples of {card.stride}, equal the whole picture",
        "statistics": "statistics: output `own` is what the norms took of a picture; given those of the whole (inputs "
        f"`statistics`, and `given` = 1), tiles that overlap by {card.reach} pixels, cut at multiples of {card.stride}, equal it",
        "whole": "whole: the picture has to be given in one piece",
    }[card.tiling]
    lines = [
        "---",
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()),
        "---",
        "",
        f"# {card.name}",
        "",
        f"Translates {card.source} into {card.target} ({card.task}). Version {card.version}, trained on {card.size}-pixel crops.",
        "",
        f"- Input `image`: float32 `[N, H, W, 3]`, sRGB, 0..1. Output `translated`: the same, {card.scale} times as large.",
        f"- Tiling: {tiling}.",
        f"- Noise: {card.noise.model_dump_json() if card.noise else 'none; equal pictures give equal results'}.",
        f"- Precision: {_precision(card)}.",
        f"- Licence of the weights: {card.licence or 'not stated'}.",
        "",
        "## Measured",
        "",
        f"On {card.test_set or 'nothing'}:",
        "",
        "| measure | value |",
        "|---|---|",
        measures,
        "",
        "## Trained on",
        "",
        *(f"- {name}" for name in card.data),
        "",
        "## Recipe",
        "",
        f"Seed {card.seed}, code at commit `{card.commit or 'unknown'}`.",
        "",
        "```json",
        json.dumps(card.recipe, indent=1, ensure_ascii=False),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _precision(card: Card) -> str:
    told = card.precision
    if told is None:
        return "float32"
    return (
        f"{told.kind} ({told.layers}), {told.psnr:.1f} dB PSNR from the float32 file's pictures, {told.worst:.1f} dB at worst, "
        f"on {told.measured_on}"
    )
