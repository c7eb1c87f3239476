"""Which tokens are learned, with the templates of real families: every answer and its end of turn, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pytest

import azft.engine.places as places_module
from azft.engine.rendering import Renderer, TemplateRefusalError
from azft.engine.templates import ChatTemplate
from azft.engine.tokens import IGNORE, ChatTokenizer
from azft.errors import ConfigurationError
from azft.stages.standin import CHAT_TEMPLATE
from tests.templates_of_trl import TRAINING, sources, tokenizer_for

Messages = list[dict[str, Any]]


def talk(*contents: str, system: str = "") -> Messages:
    turns = [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]
    return [{"role": "system", "content": system}, *turns] if system else turns


CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Tbilisi", "days": 3}}}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the weather.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
        },
    }
]
CALLING: Messages = [
    {"role": "user", "content": "QUESTION1 weather?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "name": "get_weather", "content": "QUESTION2 sunny"},
    {"role": "assistant", "content": "It will be sunny."},
]
CONVERSATIONS: dict[str, tuple[Messages, Any]] = {
    "one turn": (talk("QUESTION1 What is 2+2?", "It is four."), None),
    "system": (talk("QUESTION1 Capital?", "Paris.", system="QUESTION0 Be brief."), None),
    "two turns": (talk("QUESTION1 a?", "First answer", "QUESTION2 b?", "Second answer"), None),
    "three turns, system": (
        talk("QUESTION1", "One.", "QUESTION2", "Two.", "QUESTION3", "Three.", system="QUESTION0"),
        None,
    ),
    "nine turns": (talk(*(text for n in range(9) for text in (f"QUESTION{n} q?", f"Answer number {n}."))), None),
    "thinking": (talk("QUESTION1", "<think>\nLet me see.\n</think>\n\nIt is so."), None),
    "thinking twice": (
        talk("QUESTION1", "<think>\nHm.\n</think>\n\nFirst", "QUESTION2", "<think>\nWell.\n</think>\n\nSecond"),
        None,
    ),
    "unicode": (talk("QUESTION1 今日は?", "Übergrößenträger 今日は 🙂 e\u0301"), None),
    "spaces around": (talk("QUESTION1  ", "  An answer with spaces  \n", "QUESTION2\n\n", "\tAnother\n\n"), None),
    "nearly empty": (talk("QUESTION1", ".", "QUESTION2", "0"), None),
    "what a header says": (talk("QUESTION1 assistant", "user", "QUESTION2 model", "assistant"), None),
    "answers alike": (talk("QUESTION1", "Yes.", "QUESTION2", "Yes.", "QUESTION3", "Yes."), None),
    "code": (talk("QUESTION1", "def f(x):\n    if x:\n        return 1\n\n    return 0\n"), None),
    "tools": (CALLING, TOOLS),
}
PARTS = "it takes contents in parts alone, and would write none of a text"
NO_SYSTEM, NO_TOOLS = "it takes no system turn", "it takes no turns of tools"
LOSES, OWN_END = "it leaves tool calls out", "it ends a tool call as it ends nothing else, so that its end is not known"
REFUSES: dict[str, dict[str, str]] = {
    **{name: dict.fromkeys(CONVERSATIONS, PARTS) for name in ("idefics3", "llava_next", "smolvlm")},
    "gemma": {"system": NO_SYSTEM, "three turns, system": NO_SYSTEM, "tools": NO_TOOLS},
    **{name: {"tools": NO_TOOLS} for name in ("cohere", "cohere2", "gemma3")},
    **{name: {"tools": LOSES} for name in ("deepseek_r1_distill", "lfm2", "llama3", "phi3", "phi3_5", "qwen2_5_vl")},
    **{name: {"tools": OWN_END} for name in ("diffusion_gemma", "glm4moe", "gptoss")},
    **{name: {"tools": OWN_END} for name in ("gemma4", "gemma4_v3", "gemma4_v4", "gemma4_v5")},
}
"""Conversations that a family's template does not take, and why; whatever else is refused fails the test."""
TAKES = {name + TRAINING: {"tools"} for name in ("diffusion_gemma", "glm4moe", "gptoss")}
"""What a training template takes and the original does not, as it marks itself what is learned."""
HEADERS = {
    "deepseek_r1_distill": "<｜Assistant｜>",
    "deepseekv3": "<｜Assistant｜>",
    "gptoss": "<|start|>assistant",
    "muse_glimmer": "<|start|>assistant",
    "qwen2_5": "\n",
}
"""Headers whose tokens TRL learns, too; here they are not, as the prompt has them when the model is asked."""
REWRITTEN = {
    "deepseek_r1_distill": "TRL keeps reasoning that the original leaves out",
    "deepseekv3": "TRL writes the arguments of tool calls in another way",
    "glm4moe": "TRL writes an end behind the last answer, where the original has none",
    "muse_glimmer": "TRL writes tool calls in another way",
    "qwen3": "TRL writes reasoning in every answer, the original in the last one alone",
    "qwen3_5_nothink": "TRL writes reasoning in every answer, the original in the last one alone",
    "qwen3_5_think": "TRL writes reasoning in every answer, the original in the last one alone",
    "qwen3_6": "TRL writes reasoning in every answer, the original in the last one alone",
}
"""Families whose training template writes another text for some conversations, so that labels cannot be compared."""
BYTES = {"diffusion_gemma": {"unicode"}}
"""Where TRL leaves out the last bytes of a character that takes several tokens."""
DAY = datetime(2026, 7, 1)


def reads(name: str) -> ChatTokenizer:
    return ChatTokenizer(tokenizer_for(name), day=DAY)


def refused(name: str, conversation: str) -> bool:
    known = REFUSES.get(name.removesuffix(TRAINING), {})
    return conversation in known and conversation not in TAKES.get(name, ())


def said_by(messages: Messages) -> Iterator[str]:
    """Yield what the answers say, without reasoning."""
    for message in messages:
        if message["role"] == "assistant" and message["content"]:
            yield message["content"].rpartition("</think>")[2].strip()


def check(name: str, messages: Messages, tools: Any) -> None:
    """Hold the property: all answers in turn with an end behind each, and nothing that anybody else said."""
    tokenizer = reads(name)
    learned = tokenizer.learned({"messages": messages, "tools": tools})
    encoded = tokenizer.encode({"messages": messages, "tools": tools}, 1 << 20)
    ids = tokenizer.tokenizer(learned.text, add_special_tokens=False)["input_ids"]
    assert encoded.ids.tolist() == ids
    text = tokenizer.tokenizer.decode(encoded.ids[encoded.labels != IGNORE], skip_special_tokens=False)
    assert "QUESTION" not in text
    at = 0
    for answer in said_by(messages):
        at = text.index(answer, at) + len(answer)
    for call in (call for message in messages for call in message.get("tool_calls", ())):
        assert call["function"]["name"] in text
        assert all(str(value) in text for value in call["function"]["arguments"].values())
    ends = [learned.text[stop - 1 : stop] for _start, stop in learned.spans]
    assert all(ends)
    assert sum(stop - start for start, stop in learned.spans) < len(learned.text)


@pytest.mark.parametrize("name", sources())
def test_every_answer_is_learned_with_its_end_and_nothing_else(name: str) -> None:
    for conversation, (messages, tools) in CONVERSATIONS.items():
        if refused(name, conversation):
            with pytest.raises(TemplateRefusalError):
                reads(name).learned({"messages": messages, "tools": tools})
        else:
            check(name, messages, tools)


PAIRS = [name for name in sources() if name + TRAINING in sources()]


def test_enough_families_are_there_and_most_conversations_pass() -> None:
    whole = [name for name in sources() if not refused(name, "one turn")]
    assert (len(whole), len(PAIRS)) >= (60, 30)
    assert sum(refused(name, "tools") for name in whole) < len(whole) / 2


@pytest.mark.parametrize("name", PAIRS)
def test_labels_are_those_of_trl_where_it_writes_the_same_text(name: str) -> None:
    compared = 0
    for conversation, (messages, tools) in CONVERSATIONS.items():
        if refused(name, conversation):
            continue
        tokenizer = reads(name)
        ours = tokenizer.encode({"messages": messages, "tools": tools}, 1 << 20)
        theirs = tokenizer_for(name, template=sources()[name + TRAINING]).apply_chat_template(
            messages, tools=tools, return_dict=True, return_assistant_tokens_mask=True, strftime_now=DAY.strftime
        )
        if ours.ids.tolist() != theirs["input_ids"]:
            assert name in REWRITTEN, conversation
            continue
        compared += 1
        mask = np.array(theirs["assistant_masks"], bool)
        learned = ours.labels != IGNORE
        assert not (learned & ~mask).any() or conversation in BYTES.get(name, ()), conversation
        header = HEADERS.get(name, "")
        more = tokenizer.tokenizer.decode(ours.ids[mask & ~learned], skip_special_tokens=False)
        assert more == header * more.count(header or "-"), conversation
    assert compared or name in REWRITTEN or refused(name, "one turn")


def test_an_answer_that_is_not_to_be_learned_stays_in_the_text() -> None:
    messages = talk("QUESTION1", "Bad answer.", "QUESTION2", "Good answer.")
    messages[1]["weight"] = 0
    for name in ("phi3", "llama3_training", "qwen3", "gemma"):
        tokenizer = reads(name)
        found = tokenizer.encode({"messages": messages}, 1_000)
        assert "Bad answer." in tokenizer.tokenizer.decode(found.ids)
        learned = tokenizer.tokenizer.decode(found.ids[found.labels != IGNORE])
        assert "Good answer." in learned
        assert "Bad" not in learned


def test_turns_cost_a_rendering_each_and_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    template = ChatTemplate.of(tokenizer_for("qwen2_5"))
    write = Renderer.write

    def counted(self: Renderer, messages: Any, *arguments: Any, **more: Any) -> Any:
        written.append(len(messages))
        return write(self, messages, *arguments, **more)

    monkeypatch.setattr(Renderer, "write", counted)
    for turns in (3, 64, 512):
        template.learned(talk(*["QUESTION", "Answer."] * turns))
        assert written.count(2 * turns) == 2


@pytest.mark.parametrize("name", ["qwen3", "phi3", "llama3_training"])
def test_few_and_many_spans_are_labelled_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = reads(name)
    for messages, _tools in CONVERSATIONS.values():
        for contents in (messages, talk(*["QUESTION é", "Übung 🙂."] * 12)):
            row = {"messages": [turn for turn in contents if "tool_calls" not in turn and turn["role"] != "tool"]}
            found = []
            for few in (0, 100):
                monkeypatch.setattr(places_module, "FEW", few)
                found.append(tokenizer.encode(row, 1 << 20).labels.tolist())
            assert found[0] == found[1]


def test_a_template_that_writes_the_date_writes_the_one_it_is_told() -> None:
    for name in ("llama3_2", "gptoss"):
        tokenizer = reads(name)
        assert tokenizer.template.dated
        text = tokenizer.text({"messages": talk("QUESTION1", "Answer.")})
        assert "01 Jul 2026" in text or "2026-07-01" in text
    assert not reads("phi3").template.dated


NO_END = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"


FIRST_LLAMA_3 = (
    "{{ '<|begin|>' }}{% for m in messages %}{{ '<|start|>' + m['role'] + '<|stop|>\n\n' }}"
    "{{ m['content'] | trim + '<|eot|>' }}{% endfor %}{{ '<|start|>assistant<|stop|>\n\n' }}"
)


def test_a_header_behind_every_conversation_is_not_learned() -> None:
    found = ChatTemplate(FIRST_LLAMA_3).learned(talk("a?", "One.", "b?", "Two."))
    assert [found.text[start:stop] for start, stop in found.spans] == ["One.<|eot|>", "Two.<|eot|>"]
    assert found.text.endswith("assistant<|stop|>\n\n")


def test_a_template_without_an_end_of_turn_is_known_as_one() -> None:
    assert not ChatTemplate(NO_END).ends
    assert ChatTemplate(CHAT_TEMPLATE, {}, ("<|end|>",)).ends
    endless = [name for name in sources() if not refused(name, "one turn") and not reads(name).template.ends]
    assert endless == ["glm4moe"]  # its last answer has no end, and the others have the next header for one


PARTIAL = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'][:5] }}<|end|>{% endfor %}"
SHOUTING = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | upper }}<|end|>{% endfor %}"
MARKED = "{% for m in messages %}{% generation %}{{ m['role'] }}{% endgeneration %}{{ m['content'] }}{% endfor %}"


@pytest.mark.parametrize("source", [PARTIAL, MARKED])
def test_a_template_that_loses_answers_is_refused(source: str) -> None:
    with pytest.raises(TemplateRefusalError, match=r"rewrites the answers|do not hold every answer alone"):
        ChatTemplate(source).learned(talk("QUESTION1", "A longer answer."))


def test_a_template_that_changes_answers_is_refused() -> None:
    with pytest.raises(TemplateRefusalError, match="only a part of message 2"):
        ChatTemplate(SHOUTING).learned(talk("QUESTION1", "A longer answer."))


def test_text_of_both_private_planes_is_refused_and_of_one_is_not() -> None:
    template = ChatTemplate(CHAT_TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", ""))
    assert template.learned(talk("\U000f0001 QUESTION", "An \U000f0003 answer")).spans
    with pytest.raises(TemplateRefusalError, match="private-use"):
        template.learned(talk("\U000f0001 \U00100001", "answer"))


def test_a_tokenizer_without_a_template_is_refused_by_name() -> None:
    tokenizer = tokenizer_for("phi3")
    tokenizer.chat_template = None
    with pytest.raises(ConfigurationError, match=r"no chat template[\s\S]*chat_template="):
        ChatTokenizer(tokenizer)


BARE = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ m.content + '</s>' }}"
)
SPLIT = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
ODD: dict[str, tuple[str, list[str]]] = {
    "a blank prompt": (
        BARE + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ' ' }}{% endif %}",
        ["Yes</s>", "No</s>"],
    ),
    "all turns alike": ("{{ messages | map(attribute='content') | join('\n\n') }}", ["Yes", "No"]),
    "a header in words behind all": (
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + ' ' }}{% else %}"
        "{{ 'ASSISTANT: ' + m.content + '</s>' }}{% endif %}{% endfor %}{{ 'ASSISTANT:' }}",
        [" Yes</s>", " No</s>"],
    ),
    "two spans an answer": (
        SPLIT + "{% generation %}{{ '<|end|>' }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
        ["Yes", "<|end|>", "No", "<|end|>"],
    ),
    "markers in a comment": ("{# {% generation %} #}" + BARE + "{% endif %}{% endfor %}", ["Yes</s>", "No</s>"]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_templates_teach_the_answers_alone(name: str) -> None:
    source, expected = ODD[name]
    found = ChatTemplate(source, {}, ("</s>", "<|end|>")).learned(talk("hi there", "Yes", "USER TEXT", "No"))
    assert [found.text[start:stop].strip() for start, stop in found.spans] == [part.strip() for part in expected]
    messages = talk("hi there", "Yes", "USER TEXT", "No")
    messages[1]["weight"] = 0
    found = ChatTemplate(source, {}, ("</s>", "<|end|>")).learned(messages)
    half = expected[len(expected) // 2 :]
    assert [found.text[start:stop].strip() for start, stop in found.spans] == [part.strip() for part in half]


def test_a_tool_that_answers_nothing_is_not_learned() -> None:
    messages = [dict(message) for message in CALLING]
    messages[1]["content"] = "Let me see."
    messages[2]["content"] = ""
    for name in ("qwen3", "qwen2_5", "nemotron_3_nano"):
        found = reads(name).learned({"messages": messages, "tools": TOOLS})
        assert all("tool_response" not in found.text[start:stop] for start, stop in found.spans), name


def test_a_call_that_is_lost_is_refused() -> None:
    call = "m.tool_calls[0].function"
    first = "{% if m.tool_calls %}{{ CALL.name }}{{ CALL.arguments | tojson }}{% endif %}".replace("CALL", call)
    source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}" + first + "<|end|>{% endfor %}"
    calls = [{"function": {"name": "f", "arguments": {"x": number}}} for number in (1.5, 2.5)]
    messages: Messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": calls}]
    with pytest.raises(TemplateRefusalError, match="does not write the tool call"):
        ChatTemplate(source, {}, ("<|end|>",)).learned(messages)
    messages[1]["tool_calls"] = calls[:1]
    assert ChatTemplate(source, {}, ("<|end|>",)).learned(messages).spans
