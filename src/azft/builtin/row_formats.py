"""The row formats that ship with azft, with the inputs by which the registry's pipelines are told their columns.

What each column may hold and how many rows are wanted is what the pipelines' own preprocessing checks
(azureml-acft-contrib-hf-nlp 0.0.91: constants.py, validation_utils.py and the tasks' preprocess/base.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.domain.row_formats import AS_IS_FORMAT, CHAT_FORMAT, Column, RowFormat
from azft.plugins import hookimpl
from azft.rules.literals import read_literal

LEAST, LEAST_TO_GENERATE = 50, 10
"""Rows to train on that the pipelines for text want, and those that generate it."""
CHOICES = ("A", "B", "C", "D")
"""The only answers that the reward of the pipeline for reasoning knows (azureml-assets, grpo_trainer_rewards.py)."""


@hookimpl
def azft_row_formats() -> list[RowFormat]:
    """Offer conversations, data as it is, and the rows of the registry's tasks for text."""
    text, document = Column("text"), Column("document")
    return [
        CHAT_FORMAT,
        AS_IS_FORMAT,
        RowFormat(
            "text_classification",
            (text, Column("text_pair", optional=True), Column("label", "label")),
            asks=("text", "text_pair"),
            check=_two_texts,
            keys={"sentence1_key": "text", "label_key": "label", "label_column_name": "label"},
            least=LEAST,
            classes="label",
        ),
        RowFormat(
            "text_classification_multilabel",
            (text, Column("label")),
            asks=("text",),
            check=_is_list_of_labels,
            keys={"label_column_name": "label"},
        ),
        RowFormat(
            "token_classification",
            (Column("tokens", "texts"), Column("tags", "texts")),
            asks=("tokens",),
            check=_a_tag_each,
            keys={"token_key": "tokens", "tag_key": "tags"},
            least=LEAST,
        ),
        RowFormat(
            "question_answering",
            (Column("question"), Column("context"), Column("answers", "record", parts=("answer_start", "text"))),
            asks=("question", "context"),
            check=_answers_are_there,
            keys={
                "question_key": "question",
                "context_key": "context",
                "answers_key": "answers",
                "answer_start_key": "answer_start",
                "answer_text_key": "text",
            },
            least=LEAST,
        ),
        RowFormat(
            "summarization",
            (document, Column("summary")),
            asks=("document",),
            keys={"document_key": "document", "summary_key": "summary"},
            least=LEAST,
        ),
        RowFormat(
            "text_generation",
            (text, Column("ground_truth", optional=True)),
            asks=("text",),
            keys={"text_key": "text"},
            least=LEAST_TO_GENERATE,
        ),
        RowFormat(
            "reasoning",
            (Column("problem"), Column("solution")),
            asks=("problem",),
            check=_is_a_choice,
            keys={"dataset_prompt_column": "problem"},
        ),
    ]


def translation_rows(source: str, target: str) -> RowFormat:
    """Return the row format "translation_SOURCE_TARGET" for two languages.

    The registry's pipeline takes the columns' names for the languages, so they are called as the model calls them:
    "en", "de", "fr" and "ro" for T5, such as "en_XX" for mBART.
    """
    return RowFormat(
        f"translation_{source}_{target}",
        (Column(source), Column(target)),
        asks=(source,),
        keys={"source_lang": source, "target_lang": target},
        least=LEAST,
    )


def _two_texts(row: Mapping[str, Any]) -> str:
    same = row.get("text_pair") and row["text"].strip() == row["text_pair"].strip()
    return "'text' and 'text_pair' are the same text" if same else ""


def _is_list_of_labels(row: Mapping[str, Any]) -> str:
    """Check labels as this pipeline reads them: a text that holds a list, as Python or JSON writes it."""
    found = read_literal(row["label"])
    good = isinstance(found, list) and all(isinstance(one, str) for one in found)
    return "" if good else f"'label' is {row['label'][:60]!r}, expected a text such as \"['news', 'sports']\""


def _a_tag_each(row: Mapping[str, Any]) -> str:
    words, tags = len(row["tokens"]), len(row["tags"])
    return "" if words == tags else f"{words} tokens and {tags} tags, expected a tag for each token"


def _answers_are_there(row: Mapping[str, Any]) -> str:
    """Check that each answer is in the context where it says: the pipeline trains on it without looking."""
    answers, context = row["answers"], row["context"]
    for begin, said in zip(answers["answer_start"], answers["text"], strict=True):
        if not isinstance(begin, int) or isinstance(begin, bool) or not isinstance(said, str):
            return f"an answer is {said!r} at {begin!r}, expected a text at a whole number"
        if begin < 0 or context[begin : begin + len(said)] != said:
            there = context[max(begin, 0) : max(begin, 0) + len(said)]
            return f"the answer {said[:40]!r} is not in the context at {begin}: {there[:40]!r} is"
    return ""


def _is_a_choice(row: Mapping[str, Any]) -> str:
    good = row["solution"] in CHOICES
    return "" if good else f"'solution' is {row['solution'][:40]!r}, expected one of {', '.join(CHOICES)}"
