"""Where reports are printed: coloured on a terminal, plain lines in a pipe."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

# Wide enough for the tables, and not so wide that lines are hard to follow; a pipe gets the classic 80.
_WIDEST, _NARROWEST, _PIPE = 100, 60, 80


@contextmanager
def page() -> Iterator[Console]:
    """Give a console for one report. Rich pads lines to the width and colours them: only terminals get either."""
    width = min(shutil.get_terminal_size((_PIPE, 24)).columns, _WIDEST) if sys.stdout.isatty() else _PIPE
    console = Console(width=max(width, _NARROWEST), highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        yield console
        return
    with console.capture() as captured:
        yield console
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
