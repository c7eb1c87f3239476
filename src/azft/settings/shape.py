"""What a file of settings may hold, from the types of its values: checked key by key, and as a JSON schema."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from azft.rules.suggest import did_you_mean

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: Mapping[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
Place = tuple[str | int, ...]


def schema_of(kind: type, title: str) -> dict[str, Any]:
    """Return the JSON schema of an attrs class; other keys than its fields are not allowed."""
    return {"$schema": SCHEMA, "title": title, **_schema(kind)}


def wrong_places(value: object, kind: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield each place whose value does not fit, with what is wrong with it."""
    if attrs.has(kind) and isinstance(kind, type):
        yield from _wrong_in_class(value, kind, place)
    elif _is_union(kind):
        yield from _wrong_in_union(value, get_args(kind), place)
    elif get_origin(kind) is Literal:
        if value not in get_args(kind):
            yield place, f"is {value!r}, expected one of {', '.join(map(repr, get_args(kind)))}"
    elif _is_mapping(kind):
        yield from _wrong_in_mapping(value, get_args(kind)[1], place)
    elif _is_list(kind):
        if not isinstance(value, list):
            yield place, f"is {value!r}, expected a list"
        else:
            for number, item in enumerate(value):
                yield from wrong_places(item, get_args(kind)[0], (*place, number))
    elif not _is_plain(value, kind):
        yield place, f"is {value!r}, expected {_WORDS[_PLAIN[kind]]}"


_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def _schema(kind: Any) -> dict[str, Any]:
    if attrs.has(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        fields = attrs.fields(kind)
        needed = [one.name for one in fields if one.default is attrs.NOTHING]
        made: dict[str, Any] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split("\n\n", maxsplit=1)[0].split()),
            "properties": {one.name: {**_schema(hints[one.name]), **_default(one)} for one in fields},
            "additionalProperties": False,
        }
        return made | ({"required": needed} if needed else {})
    if _is_union(kind):
        return {"anyOf": [_schema(one) for one in get_args(kind)]}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if _is_mapping(kind):
        return {"type": "object", "additionalProperties": _schema(get_args(kind)[1])}
    if _is_list(kind):
        return {"type": "array", "items": _schema(get_args(kind)[0])}
    return {"type": _PLAIN[kind]}


def _default(field: Any) -> dict[str, Any]:
    plain = isinstance(field.default, str | int | float | bool)
    return {"default": field.default} if plain else {}


def _wrong_in_class(value: object, kind: type, place: Place) -> Iterator[tuple[Place, str]]:
    if not isinstance(value, Mapping):
        yield place, f"is {value!r}, expected keys and values"
        return
    hints = get_type_hints(kind)
    names = [one.name for one in attrs.fields(kind)]
    for name, inner in value.items():
        if name in names:
            yield from wrong_places(inner, hints[name], (*place, name))
        else:
            yield (*place, name), f"is no setting; {did_you_mean(str(name), names)}"
    for one in attrs.fields(kind):
        if one.default is attrs.NOTHING and one.name not in value:
            yield place, f"lacks {one.name!r}"


def _wrong_in_union(value: object, kinds: Sequence[Any], place: Place) -> Iterator[tuple[Place, str]]:
    tried = [list(wrong_places(value, kind, place)) for kind in kinds]
    if not all(tried):
        return
    # The answer for the form that was begun says more than "neither".
    inside = [wrong for wrong, kind in zip(tried, kinds, strict=True) if isinstance(value, Mapping) and attrs.has(kind)]
    if inside:
        yield from inside[0]
    else:
        words = [_WORDS.get(_PLAIN.get(kind, ""), "keys and values") for kind in kinds]
        yield place, f"is {value!r}, expected {' or '.join(dict.fromkeys(words))}"


def _wrong_in_mapping(value: object, kind: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if not isinstance(value, Mapping):
        yield place, f"is {value!r}, expected keys and values"
        return
    for name, inner in value.items():
        if isinstance(name, str):
            yield from wrong_places(inner, kind, (*place, name))
        else:
            yield place, f"has the key {name!r}, expected text"


def _is_plain(value: object, kind: object) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if kind is type(None) else isinstance(value, kind)  # type: ignore[arg-type]


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list)
