"""Messages to the user: the terminal, or Python's `logging` once interactive logging is off."""

from __future__ import annotations

import logging
import os
import sys

from kerasmirror.core import config

_LOGGER = logging.getLogger("kerasmirror")


def can_redraw():
    """Whether stdout shows a line that is written over: a terminal or a notebook, but no file."""
    terminal = hasattr(sys.stdout, "isatty") and sys.stdout.isatty()
    return terminal or "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ


def print_msg(message, line_break=True):
    """Write `message` to stdout, or log it (level INFO) without interactive logging."""
    message = str(message)
    if not config.is_interactive_logging_enabled():
        _LOGGER.info(message)
        return
    if line_break:
        message += "\n"
    try:
        sys.stdout.write(message)
    except UnicodeEncodeError:
        # A terminal that cannot show the bar's heavy line gets an ASCII one.
        encoding = sys.stdout.encoding or "utf-8"
        plain = message.replace("━", "=").encode(encoding, errors="ignore")
        sys.stdout.write(plain.decode(encoding))
    sys.stdout.flush()


def ask_to_proceed_with_overwrite(filepath):
    """Ask on the terminal whether `filepath` may be overwritten; True for yes."""
    answer = input(f"[WARNING] {filepath} already exists - overwrite? [y/n]").strip().lower()
    while answer not in ("y", "n"):
        answer = input('Enter "y" (overwrite) or "n" (cancel).').strip().lower()
    if answer == "y":
        print_msg("[TIP] Next time specify overwrite=True!")
    return answer == "y"
