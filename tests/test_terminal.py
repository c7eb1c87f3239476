"""A plan, live training and a report on terminals: 80 and 140 columns, NO_COLOR, dumb, piped, cp1252."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

PROGRAM = """
import azft
session = azft.FineTuneSession(dataset="ultrachat_sample", percent=8, recipe="quick",
                               parameters={"max_steps": 12, "logging_steps": 1}, folder=FOLDER)
plan = session.plan()
print(plan)
run = session.submit(plan)
result = session.watch(run)
print(session.evaluate(run))
print(session.cleanup())
"""
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-9][0-9;]*m")
ESCAPE = re.compile(rb"\x1b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("terminal")


def program(folder: Path, name: str) -> str:
    return PROGRAM.replace("FOLDER", repr(str(folder / name)))


def on_a_terminal(code: str, width: int, **more: str) -> tuple[bytes, list[str], set[str]]:
    """Run the code on a terminal of so many columns: its bytes, the lines that stay, and all that was ever shown."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", **more}
    environment.pop("COLUMNS")
    child: Any = pexpect.spawn(
        sys.executable, ["-W", "ignore", "-c", code], dimensions=(60, width), env=environment, timeout=300
    )
    screen = pyte.HistoryScreen(width, 60, history=5_000, ratio=1.0)
    stream = pyte.ByteStream(screen)
    raw = b""
    seen: set[str] = set()
    while True:
        try:
            chunk = child.read_nonblocking(65_536, timeout=300)
        except pexpect.EOF:
            break
        raw += chunk
        stream.feed(chunk)
        seen |= {line.rstrip() for line in screen.display}
    child.close()
    assert child.exitstatus == 0, raw.decode(errors="replace")
    kept = ["".join(row[column].data for column in range(width)).rstrip() for row in screen.history.top]
    return raw, [*kept, *(line.rstrip() for line in screen.display)], seen


@pytest.mark.parametrize("width", [80, pytest.param(140, marks=pytest.mark.slow)])
def test_plan_training_and_report_fit_the_terminal(folder: Path, width: int) -> None:
    raw, lines, seen = on_a_terminal(program(folder, f"w{width}"), width)
    assert COLOUR.search(raw)
    text = "\n".join(lines)
    # A table's rows begin where they should: nothing was wrapped by the terminal.
    assert "\nmodel         Phi-3-mini-4k-instruct" in text
    assert re.search(r"^ code +severity +about +what and why$", text, re.MULTILINE)
    assert re.search(r"^ loss +[\d.]+ +[\d.]+$", text, re.MULTILINE)
    assert text.count("Parameters that differ") == 1
    # While it trained: the step, the loss, the speed, and a line of small bars.
    live = [line for line in seen if "loss" in line and "tokens/s" in line]
    assert live
    assert any(bar in line for line in live for bar in "▁▂▃▄▅▆▇█")
    assert "run completed" in text
    assert "deleted run" in text


@pytest.mark.slow
def test_no_color_has_no_colour(folder: Path) -> None:
    plain, lines, _seen = on_a_terminal(program(folder, "plain"), 100, NO_COLOR="1")
    assert not COLOUR.search(plain)
    assert "run completed" in "\n".join(lines)


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_lines(folder: Path) -> None:
    raw, lines, _seen = on_a_terminal(program(folder, "dumb"), 80, TERM="dumb")
    assert not ESCAPE.search(raw)
    assert any(line.strip().startswith("step 12 of 12") for line in lines)


@pytest.mark.parametrize("encoding", ["cp1252", pytest.param("utf-8", marks=pytest.mark.slow)])
def test_a_pipe_of_any_encoding_gets_plain_lines(folder: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "80"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program(folder, encoding)],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    assert not ESCAPE.search(ran.stdout)
    said = ran.stdout.decode(encoding)
    assert max(map(len, said.splitlines())) <= 120
    assert "step 12 of 12" in said
    assert ("─" in said) == (encoding == "utf-8")
    assert re.search(r"^ loss +[\d.]+ +[\d.]+$", said, re.MULTILINE)


def test_text_that_an_encoding_has_no_sign_for_is_escaped() -> None:
    code = (
        "import azft; print(azft.Finding('AZFT-D001', 'error', 'chats \\u65e5\\u672c.jsonl', 'a \\x1b[31m red row'));"
        "from azft.domain.findings import Findings;"
        "print(Findings([azft.Finding('AZFT-D001', 'error', '\\u65e5', 'x')]))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
    assert b"\\u65e5\\u672c.jsonl" in said
    assert b"\\x1b[31m" in said
