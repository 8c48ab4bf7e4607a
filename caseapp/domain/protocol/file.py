"""The protocol's file, read and checked once. A broken file stops the start and is named with its line."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import yaml
from marshmallow import ValidationError

from caseapp.core.settings import ROOT
from caseapp.domain.protocol.checks import list_contradictions
from caseapp.domain.protocol.data import InvalidProtocolFile, Place, Protocol
from caseapp.domain.protocol.schemas import ProtocolSchema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = ROOT / "handouts" / "protocol.yaml"


class _Loader(yaml.SafeLoader):
    """Reads dates as text, since the schema checks them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_protocol(path: Path) -> Protocol:
    """Read and check a protocol file.

    Raises InvalidProtocolFile with every problem: file, line, place in the file and what is wrong.
    """
    name, loader = f"{path.parent.name}/{path.name}", _Loader(path.read_text(encoding="utf-8"))
    try:
        root = loader.get_single_node()
        repeated = list(_list_repeated_keys(root))
        data: Any = loader.construct_document(root) if root else None
    except yaml.YAMLError as error:
        raise InvalidProtocolFile(f"{name}: {error}") from error
    try:
        protocol = ProtocolSchema().load(data)
    except ValidationError as error:
        found = list(_flatten(error.messages))
    else:
        found = [*list_contradictions(protocol), *_list_outdated_sign_offs(data)]
    if found := [*((place, "This key appears twice.") for place in repeated), *found]:
        lines = [f"{name}, {_locate(root, place)}: {text}" for place, text in found]
        raise InvalidProtocolFile("\n".join(lines))
    assert isinstance(protocol, Protocol)  # noqa: S101 - the schema builds one
    return protocol


def _list_repeated_keys(node: yaml.Node | None, place: Place = ()) -> Iterator[Place]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from ((*place, key) for key in sorted({key for key in keys if keys.count(key) > 1}))
    for name, (_, child) in _list_children(node).items():
        yield from _list_repeated_keys(child, (*place, name))


def _list_children(node: yaml.Node | None) -> dict[str | int, tuple[int, yaml.Node]]:
    """Return each child by its key or position, with the line at which it begins."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: (key.start_mark.line, child) for key, child in node.value}
    if isinstance(node, yaml.SequenceNode):
        return {at: (child.start_mark.line, child) for at, child in enumerate(node.value)}
    return {}


def _flatten(messages: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:  # noqa: ANN401 - marshmallow's nesting
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flatten(inner, place if name == "_schema" else (*place, name))
    else:
        yield from ((place, text) for text in messages)


def _list_outdated_sign_offs(data: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:  # noqa: ANN401 - YAML
    """List rules whose text differs from what a clinician signed."""
    children = data.items() if isinstance(data, dict) else enumerate(data)
    for name, child in children:
        if isinstance(child, dict | list):
            yield from _list_outdated_sign_offs(child, (*place, name))
    if isinstance(data, dict) and data.get("sign_off"):
        digest = digest_rule(data)
        if data["sign_off"]["digest"] != digest:
            yield (
                (*place, "sign_off", "digest"),
                f"The rule isn’t the one that was signed. As it is now, its digest is {digest}.",
            )


def digest_rule(rule: dict[str, Any]) -> str:
    """Return the digest of a rule as the file gives it, without its sign-off."""
    text = json.dumps(
        {name: value for name, value in rule.items() if name != "sign_off"}, sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _locate(root: yaml.Node | None, place: Place) -> str:
    """Describe a place for people: its line, or that of what it is missing in, and its names, of a rule its key."""
    node, line, names = root, 0, []
    for part in place:
        found = _list_children(node).get(part)
        line, node = found or (line, None)
        _, key = _list_children(node).get("key", (line, None))
        names.append(str(key.value if isinstance(part, int) and key else part))
    return f"line {line + 1}, {'.'.join(names)}" if names else f"line {line + 1}"


PROTOCOL = read_protocol(FILE)
"""The protocol that is in force."""
