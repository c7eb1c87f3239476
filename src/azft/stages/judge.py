"""Compare two models on the machine of a job: `python -m azft.stages.judge`, for whoever wants to download neither."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from azft.domain.jsonable import to_json
from azft.domain.run import QUESTION
from azft.domain.splits import SPLITS
from azft.files import write_whole
from azft.stages.reasons import tell
from azft.stages.relay import Relay
from azft.training.events import EventLog
from azft.variables import OFFLINE, QUIET

REPORT, ANSWERS = "report.json", "answers.json"
PLACES = ("base", "tuned", "train", "validation", "test", "questions", "report")


def main(words: Sequence[str]) -> None:
    """Write the report, and the answers to the questions, if there are any, into the folder that the job keeps."""
    parser = argparse.ArgumentParser(prog="azft.stages.judge")
    for name in PLACES:
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args(words)
    os.environ.update(QUIET | OFFLINE)
    events = EventLog(Path.cwd() / "events.jsonl")
    events.stage = "evaluate"
    try:
        with Relay(events):
            _judge(given, events)
    except Exception as error:  # noqa: BLE001 - whatever it is, the job's log has to say it
        tell(error)
        sys.exit(1)


def _judge(given: argparse.Namespace, events: EventLog) -> None:
    from azft.engine.weights import plain_model
    from azft.stages.judging import answered, judged

    events.say("stage", "started")
    base, tuned = (Path.cwd() / "models" / name for name in ("base", "tuned"))
    plain_model(given.base, base)
    plain_model(given.tuned, tuned)

    def asked(done: int, total: int) -> None:
        events.say("progress", QUESTION, step=done, total=total)

    questions = [orjson.loads(line) for line in given.questions.read_bytes().splitlines()]
    given.report.mkdir(parents=True, exist_ok=True)
    if questions:
        write_whole(given.report / ANSWERS, to_json(answered(base, tuned, questions, asked)))
    files = {split: getattr(given, split) for split in SPLITS}
    report = judged(base, tuned, files, say=lambda text: events.say("log", text), asked=asked)
    write_whole(given.report / REPORT, to_json(report))
    events.say("stage", "done")


if __name__ == "__main__":
    main(sys.argv[1:])
