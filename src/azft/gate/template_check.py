"""Whether what trains takes a conversation: its turns, its tools, and the turns that are not to be learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azft.domain.capabilities import EVERYTHING, MASKS, TOOLS, UNSEEN_TOOLS
from azft.domain.rows import Fault
from azft.engine.rendering import TemplateRefusalError
from azft.engine.tokens import ChatTokenizer
from azft.gate.conversion import uses_tools
from azft.rules.learning import is_masked

REFUSED = "AZFT-R018"
Messages = Sequence[Mapping[str, Any]]


class TemplateCheck:
    """Asks the chat template about conversations: of one shape until one passes, those with tools or odd texts each.

    Without a tokenizer nothing is known of the template, and plain turns pass.
    """

    def __init__(self, tokenizer: ChatTokenizer | None, takes: Iterable[str] = EVERYTHING) -> None:
        self.tokenizer = tokenizer
        self._takes = frozenset(takes)
        self._passed: set[tuple[str, ...]] = set()
        self._lengths: set[int] = set()

    def passes(self, talks: Sequence[Messages]) -> bool:
        """Return whether plain talks of users and assistants in turn all pass; False where they need a closer look."""
        if self.tokenizer is None:
            return True
        for talk in talks:
            if len(talk) not in self._lengths:
                if self.fault(talk, None) is not None:
                    return False
                self._lengths.add(len(talk))
        template = self.tokenizer.template
        return not any(template.is_odd(message["content"]) for talk in talks for message in talk)

    def fault(self, messages: Messages, tools: Any) -> Fault | None:
        """Return why the conversation is not taken, or None."""
        if any(map(is_masked, messages)) and MASKS not in self._takes:
            said = "an answer is marked as not to be learned, and this trainer learns every answer"
            return Fault("AZFT-R015", said, "end the conversation before it, or remove the mark")
        if tools or uses_tools(messages):
            return self._fault_of_tools(messages, tools)
        if self.tokenizer is None:
            return None
        if any(self.tokenizer.template.is_odd(message["content"]) for message in messages):
            return self._asked(messages, None)
        shape = tuple(message["role"] for message in messages)
        if shape in self._passed:
            return None
        found = self._asked(messages, None)
        if found is None:
            self._passed.add(shape)
        return found

    def _fault_of_tools(self, messages: Messages, tools: Any) -> Fault | None:
        fix = "leave these rows out, or convert them with a function of your own (convert=...)"
        if UNSEEN_TOOLS in self._takes:
            return None
        if TOOLS not in self._takes:
            return Fault("AZFT-R015", "it calls tools, which this trainer does not take", fix)
        if self.tokenizer is None:
            said = "it calls tools, and without the model's tokenizer nothing proves that its template writes them"
            return Fault("AZFT-R015", said, f"give tokenizer=, or weights with one; or {fix}")
        found = self._asked(messages, tools)
        return None if found is None else Fault("AZFT-R015", f"it calls tools: {found.reason}", fix)

    def _asked(self, messages: Messages, tools: Any) -> Fault | None:
        refusal = self._refusal(messages, tools)
        if refusal is None or self.tokenizer is None:
            return None
        name = self.tokenizer.name
        if messages[0]["role"] == "system" and self._refusal(messages[1:], tools) is None:
            fix = 'put it before the first question; on_bad="fix" does'
            return Fault(REFUSED, f"the chat template of {name} takes no system turn", fix)
        return refused(name, refusal)

    def _refusal(self, messages: Messages, tools: Any) -> TemplateRefusalError | None:
        try:
            self.tokenizer.learned({"messages": messages, "tools": tools})  # type: ignore[union-attr]
        except TemplateRefusalError as refusal:
            return refusal
        return None


def refused(name: str, refusal: TemplateRefusalError) -> Fault:
    """Return the fault of a row that the chat template of the named tokenizer refuses."""
    return Fault(REFUSED, f"the chat template of {name} does not take it: {refusal.message}", "leave the row out")


def without_system(messages: Messages) -> list[dict[str, Any]]:
    """Return the conversation with its system message put before the first question."""
    first, question, *rest = messages
    return [{**question, "content": f"{first['content']}\n\n{question['content']}"}, *map(dict, rest)]
