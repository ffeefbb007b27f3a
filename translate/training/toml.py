"""TOML: one setting laid over a file's, and a whole tree written out."""

import json
import tomllib
from typing import Any


def lay_over(tree: dict[str, Any], setting: str) -> None:
    """Applies one `a.b=value`; the value is TOML, or a plain string where it is none."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"--set {setting}: write key=value, such as --set data.size=256")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, last = key.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ValueError(f"--set {setting}: {parent} is a value, not a section")
    tree[last] = value


def dump(tree: dict[str, Any]) -> str:
    """The tree as TOML; what is None is left out."""
    return "\n".join(_lines(tree)) + "\n"


def _lines(tree: dict[str, Any], prefix: str = "") -> list[str]:
    # JSON's strings, numbers, booleans and lists are TOML's as well; tables are written differently, and there is no null.
    lines, tables = [], []
    for key, value in tree.items():
        if isinstance(value, dict):
            tables += ["", f"[{prefix}{key}]", *_lines(value, f"{prefix}{key}.")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                tables += ["", f"[[{prefix}{key}]]", *_lines(item, f"{prefix}{key}.")]
        elif value is not None:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return lines + tables
