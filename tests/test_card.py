"""Model cards from everything registries really wrote, and from what they could write."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azft.domain.card import Fact, MinimumSize, ModelCard
from azft.domain.jsonable import from_json, to_json
from azft.rules.card import read_card, read_day, read_defaults, read_minimum, read_names, same_size
from azft.rules.literals import Unparsable, read_literal
from azft.snapshot import registry_models, snapshot_card, with_snapshot

DATA = Path(__file__).parent / "data"
MODELS: dict[str, Any] = json.loads((DATA / "registry_models.json").read_text(encoding="utf-8"))["models"]
ODD = json.loads((DATA / "odd_values.json").read_text(encoding="utf-8"))["items"]
CHANGED = {"minimum": set[str](), "tasks": set[str](), "finetune_sizes": set[str]()}


def card_of(form: dict[str, Any], *, as_text: bool) -> ModelCard:
    """Return the card of one form; on the wire every tag and property is text."""
    tags, properties = form.get("tags", {}), form.get("properties", {})
    if as_text:
        tags, properties = (
            {key: str(value) for key, value in place.items() if value is not None} for place in (tags, properties)
        )
    return read_card(form.get("system_metadata", {}), tags, properties, archived=form.get("isArchived", False))


def test_there_are_99_models() -> None:
    assert len(MODELS) == 99


@pytest.mark.parametrize("name", MODELS)
def test_every_model_becomes_a_card_in_every_form(name: str) -> None:
    for form in MODELS[name].values():
        card, wired = card_of(form, as_text=False), card_of(form, as_text=True)
        assert card.facts().keys() == wired.facts().keys()
        assert [fact.value for fact in card.facts().values()] == [fact.value for fact in wired.facts().values()]
        assert all(fact.source for fact in card.facts().values() if fact.state != "unknown")
        assert from_json(ModelCard, to_json(card)) == card
        assert str(card)


def test_both_forms_of_a_model_agree_unless_the_registry_changed_its_mind() -> None:
    both = {name: forms for name, forms in MODELS.items() if {"head", "last_tagged"} <= set(forms)}
    assert len(both) == 43
    differing = []
    for name, forms in both.items():
        new, old = card_of(forms["head"], as_text=True), card_of(forms["last_tagged"], as_text=True)
        for key in ("tasks", "finetune_sizes", "minimum"):
            one, other = new.facts()[key].value, old.facts()[key].value
            if one is not None and other is not None and _plain(one) != _plain(other):
                differing.append((name, key))
    assert differing == []


def _plain(value: object) -> object:
    return {name.lower() for name in value} if isinstance(value, tuple) else value


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd['kind']}-{odd['model']}")
def test_every_odd_value_is_read_or_kept_as_it_was(odd: dict[str, Any]) -> None:
    read = {"model_specific_defaults": read_defaults}.get(
        odd["key"], read_minimum if "min-sku" in odd["key"] else read_names
    )
    as_found, as_text = read(odd["yaml_value"]), read(odd["wire_string"])
    assert as_found == as_text
    assert not isinstance(as_found, Unparsable)
    assert (as_found is None) == (odd["yaml_value"] is None)


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ("Standard_A,Standard_B", ("Standard_A", "Standard_B")),
        ("['Standard_A Standard_B']", ("Standard_A", "Standard_B")),
        ('["Standard_A", "standard_a"]', ("Standard_A",)),
        ("Standard-A; Standard_a", ("Standard-A",)),
        ("('Standard_A\\xa0',)", ("Standard_A",)),
        ("OrderedDict([('a', 'b')])", None),
        ("['Standard_A'", None),
        ("[1, 2]", None),
        ("<html>", None),
    ],
)
def test_names_are_read_from_every_spelling(raw: str, names: tuple[str, ...] | None) -> None:
    found = read_names(raw)
    assert found == names if names else isinstance(found, Unparsable)
    assert names or (isinstance(found, Unparsable) and found.raw)


@pytest.mark.parametrize("raw", ["", " ", "[]", "None", None, (), "null"])
def test_nothing_is_unknown_and_never_an_empty_list(raw: object) -> None:
    assert read_names(raw) is None


def test_newer_places_win_and_broken_ones_give_way() -> None:
    tags = {"finetune_compute_allow_list": "['Old']", "FinetuneRetirementDate": "soon"}
    card = read_card({"supportedComputes": {"finetuneComputes": ["New"]}}, tags, {}, archived=False)
    assert (card.finetune_sizes.value, card.finetune_sizes.source) == (
        ("New",),
        "system_metadata supportedComputes.finetuneComputes",
    )
    assert card.retired == Fact(None, "unparsable", "tags FinetuneRetirementDate", "soon")
    broken = read_card({"supportedComputes.finetuneComputes": "['x"}, tags, {}, archived=False)
    assert broken.finetune_sizes.value == ("Old",)


def test_the_snapshot_fills_what_is_unknown_and_says_so() -> None:
    card = with_snapshot(ModelCard(), "Phi-4")
    assert card.minimum.value == MinimumSize(24, 1, 220, 64)
    assert "table of 2026-" in card.minimum.source
    assert with_snapshot(ModelCard(), "nobody-knows-me") == ModelCard()
    assert len(registry_models()) == 74


@pytest.mark.parametrize(
    ("day", "state"), [("2025-06-29", "current"), ("2025-06-30", "deprecated"), ("2025-08-30", "retired")]
)
def test_a_model_lives_until_its_day(day: str, state: str) -> None:
    dates = {"FinetuneDeprecationDate": "2025-06-30", "FinetuneRetirementDate": "2025-08-30T00:00:00Z"}
    assert read_card({}, dates, {}, archived=False).lifecycle(date.fromisoformat(day)) == state
    assert snapshot_card("Phi-3-mini-4k-instruct").lifecycle(date.fromisoformat(day)) == "retired"


HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet="[](){}'\",:;|\\ \n\xa00123456789.eE+-TrueFalsNonul"),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    ).map(repr),
)


@given(HOSTILE)
@settings(max_examples=2_000, deadline=None)
def test_no_text_breaks_a_parser(text: str) -> None:
    _read_all(text)


@pytest.mark.slow
@given(HOSTILE)
@settings(max_examples=4_000, deadline=None)
def test_no_text_of_many_more_breaks_a_parser(text: str) -> None:
    _read_all(text)


def _read_all(text: str) -> None:
    for read in (read_names, read_minimum, read_defaults, read_day):
        found = read(text)
        assert not isinstance(found, Unparsable) or found.raw
    read_card({"tasks": text}, {"model_specific_defaults": text}, {"finetuning-tasks": text}, archived=False)


PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**18), 10**18),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@given(PLAIN)
@settings(max_examples=500, deadline=None)
def test_what_python_or_json_wrote_is_read_back(value: object) -> None:
    assert read_literal(repr(value)) == value
    assert read_literal(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[x for x in ()]",
        "lambda: 0",
        "{'a': open('x')}",
        "1 + 1",
        "f'{1}'",
        "(" * 500,
    ],
)
def test_nothing_is_evaluated(text: str) -> None:
    assert isinstance(read_literal(text), Unparsable)


@pytest.mark.parametrize("piece", ["[", "(", "'", '"', "\\", "a", "1", "a,", "['a',", "{'a':", " ", "-", "'a' ", "1e"])
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        best = float("inf")
        for _ in range(3):
            begun = time.perf_counter()
            read_names(text)
            read_literal(text)
            best = min(best, time.perf_counter() - begun)
        return best

    assert seconds(1_000_000) <= 60 * seconds(50_000) + 0.05


def test_sizes_match_whatever_their_case_and_dashes() -> None:
    assert same_size("STANDARD_NC24ADS_A100_V4", "Standard-NC24ads-A100-v4")
    assert not same_size("Standard_NC24ads_A100_v4", "Standard_NC48ads_A100_v4")


@pytest.mark.parametrize("text", ["[" + "1," * 6_000_000, "{" * 12_000_000, '"' * 12_000_000, "'a' " * 3_000_000])
def test_a_hostile_tag_is_not_read_at_all(text: str) -> None:
    found = read_literal(text)
    assert isinstance(found, Unparsable)
    assert "12,000,00" in found.why
    assert isinstance(read_literal("[" + "1," * 500_000 + "]"), list)
