"""Run both type checkers side by side, as each works on one core, and fail if either does."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

CHECKERS = ("mypy", "pyright")


def main() -> None:
    """Print what each says, one after the other."""
    with ThreadPoolExecutor(len(CHECKERS)) as pool:
        done = list(pool.map(_run, CHECKERS))
    for checker, (code, said) in zip(CHECKERS, done, strict=True):
        sys.stdout.write(f"{checker}: {'clean' if code == 0 else f'exit code {code}'}\n{said}")
    sys.exit(max(code for code, _said in done))


def _run(checker: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", checker], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    main()
