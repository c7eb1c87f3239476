"""Draw docs/pictures/learned.svg, what is learned of a conversation; `--check` says when it is stale."""

from __future__ import annotations

import sys
from html import escape
from itertools import groupby
from pathlib import Path

from azft.engine.tokens import IGNORE, ChatTokenizer
from azft.stages.standin import build_tokenizer

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "learned.svg"
TALK = [
    {"role": "user", "content": "What is LoRA?"},
    {"role": "assistant", "content": "Two small matrices beside a large one."},
    {"role": "user", "content": "And why?"},
    {"role": "assistant", "content": "They are all that is trained."},
]
STYLE = """
text { font: 15px ui-monospace, Menlo, Consolas, monospace; fill: #57606a; }
.learned { fill: #116329; font-weight: 600; } rect { fill: #f6f8fa; } .mark { fill: #dafbe1; }
@media (prefers-color-scheme: dark) { text { fill: #9198a1; } .learned { fill: #7ee787; } rect { fill: #151b23; }
  .mark { fill: #12361f; } }
"""
WIDE, LINE, LETTER, LEFT = 760, 26, 9.03, 20


def picture() -> str:
    """Return the picture: a line of text for each line of the conversation, its learned tokens marked."""
    tokenizer = ChatTokenizer(build_tokenizer([message["content"] for message in TALK]))
    found = tokenizer.encode({"messages": TALK}, 1_000)
    pairs = zip(found.ids.tolist(), (found.labels != IGNORE).tolist(), strict=True)
    pieces = [
        (str(tokenizer.tokenizer.decode([token for token, _learned in run])), learned)
        for learned, run in groupby(pairs, key=lambda pair: pair[1])
    ]
    if not pieces[-1][0].strip():
        del pieces[-1]
    pieces[-1] = (pieces[-1][0].rstrip("\n"), pieces[-1][1])
    drawn: list[str] = []
    row, column = 0, 0
    for text, learned in pieces:
        for number, part in enumerate(text.split("\n")):
            if number:
                row, column = row + 1, 0
            if part:
                drawn += _placed(part, row, column, learned=learned)
            column += len(part)
    high = (row + 1) * LINE + 14
    title = "Of a conversation of two turns both answers are learned, with the end-of-turn token behind each."
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" width="{WIDE}" role="img">'
    back = f'<rect width="{WIDE}" height="{high}" rx="6"/>'
    return f"{head}<title>{title}</title><style>{STYLE}</style>{back}{''.join(drawn)}</svg>\n"


def _placed(text: str, row: int, column: int, *, learned: bool) -> list[str]:
    left, top = LEFT + column * LETTER, 10 + row * LINE
    mark = f'<rect class="mark" x="{left - 1:.1f}" y="{top}" width="{len(text) * LETTER + 2:.1f}" height="{LINE - 4}"/>'
    kind = ' class="learned"' if learned else ""
    drawn = f'<text x="{left:.1f}" y="{top + 16}" xml:space="preserve" textLength="{len(text) * LETTER:.1f}"{kind}>'
    return [mark, f"{drawn}{escape(text)}</text>"] if learned else [f"{drawn}{escape(text)}</text>"]


def main() -> None:
    """Write the picture, or check it."""
    if "--check" in sys.argv[1:]:
        if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture():
            sys.exit("docs/pictures/learned.svg is stale: run python tools/make_learned_picture.py")
    else:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
