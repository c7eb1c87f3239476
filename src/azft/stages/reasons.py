"""What a stage that failed says of it."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from azft.errors import AzftError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_SAID = tuple(os.strerror(code) for code in _FULL)
"""What is said by those who write without Python, such as safetensors."""


def tell(error: BaseException) -> None:
    """Say in the log of a job why it failed, the reason last; azft's own errors need no traceback."""
    if not isinstance(error, AzftError):
        traceback.print_exception(error)
    sys.stderr.write(f"{reason(error)}\n")


def reason(error: BaseException) -> str:
    """Return the message of a failure: azft's own as it is, any other with its type."""
    if isinstance(error, AzftError):
        return str(error)
    if (isinstance(error, OSError) and error.errno in _FULL) or any(said in str(error) for said in _FULL_SAID):
        return f"the disk is full ({error}); free some space, then session.resume(run) goes on with it"
    return f"{type(error).__name__}: {error}"
