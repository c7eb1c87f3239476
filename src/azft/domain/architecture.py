"""The shape of a decoder: what its parameters, and the memory to tune it, follow from."""

from __future__ import annotations

from attrs import frozen


@frozen
class Architecture:
    """A decoder-only transformer with gated feed-forward layers; `context` is the longest sequence, in tokens.

    `head` is the width of an attention head, 0 where the heads share the hidden width among them; `kind` is what
    transformers calls the family (`model_type`), empty where that is not known.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    context: int
    experts: int = 1
    tied: bool = False
    head: int = 0
    kind: str = ""

    @property
    def fused_attention(self) -> int:
        """The width of queries, keys and values together."""
        return self.queries + 2 * (self.head or self.hidden // self.heads) * self.kv_heads

    @property
    def queries(self) -> int:
        """The width of all queries together."""
        return self.head * self.heads or self.hidden

    @property
    def parameters(self) -> int:
        """How many weights there are.

        >>> round(Architecture(3072, 32, 32, 32, 8192, 32064, 4096).parameters / 1e9, 2)
        3.82
        """
        attention = self.hidden * (self.fused_attention + self.queries)
        feed_forward = 3 * self.hidden * self.intermediate * self.experts
        router = self.hidden * self.experts if self.experts > 1 else 0
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * (attention + feed_forward + router + 2 * self.hidden) + self.hidden

    @property
    def active_parameters(self) -> int:
        """How many of them a token passes: of many experts, two."""
        idle = max(self.experts - 2, 0)
        return self.parameters - 3 * self.hidden * self.intermediate * idle * self.layers

    def adapter_parameters(self, rank: int) -> int:
        """How many weights LoRA of that rank adds on every linear layer of the blocks."""
        attention = (self.hidden + self.fused_attention) + (self.queries + self.hidden)
        feed_forward = (self.hidden + 2 * self.intermediate + self.intermediate + self.hidden) * self.experts
        return self.layers * rank * (attention + feed_forward)
