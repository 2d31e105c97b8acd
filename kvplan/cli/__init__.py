"""The command line. Results go to stdout, progress and warnings to stderr; errors are formatted here, once."""

import errno
import gc
import io
import os
import sys

from kvplan.errors import KvplanError


def main() -> None:
    """Run kvplan and exit with the contract's code: 0 well, 1 does not fit, 2 input or usage, 3 kvplan itself failed."""
    # A command lives for a tenth of a second: collecting cycles at the usual pace costs more than it frees (7 of 120 ms).
    gc.set_threshold(100_000)
    from kvplan.cli.app import app  # noqa: PLC0415  typer is not needed to import the package

    # A stream that the shell closed (`>&-`) is None here; nothing that is printed can be wanted.
    sys.stdout = sys.stdout or io.TextIOWrapper(io.BytesIO())
    sys.stderr = sys.stderr or io.TextIOWrapper(io.BytesIO())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal has no letters for is no reason to fail
    try:
        app()
    except KvplanError as error:
        _say(f"kvplan: {error.message}")
        if error.hint:
            _say(f"        {error.hint}")
        sys.exit(2)
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; stop quietly, and keep the interpreter from flushing into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _say(f"kvplan: the answer cannot be written: {error.strerror}.")
            _say("        Free some space, or write it elsewhere.")
            sys.exit(2)
        if os.environ.get("KVPLAN_DEBUG"):
            raise
        _say(f"kvplan failed: {type(error).__name__}: {error}")
        _say(
            "        This is a defect of kvplan. Please report it with the command; KVPLAN_DEBUG=1 shows the traceback."
        )
        sys.exit(3)
    finally:
        # Python collects once more at its end; nothing that is left needs it (6 of 102 ms).
        gc.freeze()


def _say(text: str) -> None:
    """Print one line to stderr; what came from a file or an argument may hold terminal escapes, which are shown, not obeyed."""
    print("".join(char if char.isprintable() else repr(char)[1:-1] for char in text), file=sys.stderr)  # noqa: T201
