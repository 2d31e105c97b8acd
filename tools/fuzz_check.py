"""Fuzz `kvplan check` by coverage: any text under any name gives an answer, soon, without a traceback and with true places.

    pip install -e '.[fuzz]'
    python tools/fuzz_check.py                                   60 seconds from the seeds of tests/deploy/fuzz_seeds
    python tools/fuzz_check.py --runs 100000 --seed 7            so many inputs, the same ones each time
    python tools/fuzz_check.py --seconds 600 --seeds FOLDER      further files to start from
    python tools/fuzz_check.py --keep FOLDER                     what was found is put there, one file each
    python tools/fuzz_check.py --corpus FOLDER                   inputs that reached new code are kept there for the next run
    python tools/fuzz_check.py --again FILE ...                  check what was kept once more

libFuzzer (through atheris, Apache-2.0) picks inputs that reach new branches of the packages `kvplan.*` and changes them byte by
byte; three of four times the change is one of `tools/check_inputs.py` instead, which knows lines, values, here-documents and
the words of the formats. An input is the file's name, a zero byte and its text. A defect is any exception, a promise of
`tools/check_promises.py` that is broken, more than 2 seconds of processor time, or more than 100 MB more memory than before.
Every 50th input is written in all report formats, too; the input's length decides which options the check has. The run goes on
after a defect; each place in the code is listed once.
It prints inputs per second, branches reached (libFuzzer's `cov`) and the defects, and returns 1 where there are any.
"""

import argparse
import hashlib
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import atheris
import check_inputs

with atheris.instrument_imports(include=["kvplan"], enable_loader_override=False):
    import check_promises

    from kvplan.checking import Options, check_text
    from kvplan.deploy.formats import readers
    from kvplan.deploy.outside import Facts
    from kvplan.errors import SettingError
    from kvplan.hub import without_network
    from kvplan.report.check import formats
    from kvplan.rules.catalogue import rules

    readers()
    formats()
    with without_network():
        # What is imported on use is imported now, or its branches would not count.
        for _name, _text in check_inputs.read_seeds(check_inputs.SEEDS):
            check_text(_text, _name, Options())

# What is said from outside, by the length of an input.
OPTIONS = (
    Options(),
    Options(facts=Facts(gpu="L4", users=4, context=8192)),
    Options(),
    Options(
        facts=Facts(
            gpu="2xH100", model="meta-llama/Llama-3.1-8B-Instruct", variables={"A": "8", "a": "-tp ${A}", "B": "'"}
        )
    ),
    Options(facts=Facts(models={"*": "Qwen/Qwen3-32B"}, engine="vllm@0.9.1")),
)
SLOW_SECONDS = 2.0
HANGS_SECONDS = 10.0
MORE_MEGABYTES = 100
LONGEST = 20_000
_RENDER_EVERY = 50


class _HangsError(BaseException):
    """An input takes so long that it is given up."""


def packed(name: str, text: str) -> bytes:
    """Return an input's bytes."""
    return f"{name}\0{text}".encode("utf-8", "surrogatepass")


def unpacked(content: bytes) -> tuple[str, str]:
    """Return name and text of an input, whatever its bytes are."""
    name, _, text = content.decode("utf-8", "surrogateescape").partition("\0")
    return name[:100], text


class Fuzzer:
    """Checks inputs and keeps what goes wrong.

    Args:
        keep: where defects are put; None: nowhere.
        seeds: to take parts of.

    """

    def __init__(self, keep: Path | None, seeds: list[tuple[str, str]]) -> None:
        self.keep = keep
        self.seeds = seeds
        self.names = sorted({*check_inputs.NAMES, *(name for name, _ in seeds)})
        self.count = 0
        self.units = 0
        self.verdicts = 0
        self.slowest = 0.0
        self.defects: dict[str, str] = {}

    def once(self, content: bytes) -> int:
        """Check one input; return -1 where libFuzzer is not to go on from it, for its time."""
        self.count += 1
        name, text = unpacked(content)
        before, peak = time.process_time(), _peak()
        signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_SECONDS)
        try:
            with without_network():
                asked = OPTIONS[len(content) % len(OPTIONS)]
                checked = check_text(text, name, asked)
                self.units += len(checked.units)
                self.verdicts += any(unit.verdict != "unknown" for unit in checked.units)
                for why in check_promises.broken(checked, text, name, model_is_given=bool(asked.facts.model)):
                    self._defect(why.partition(": ")[0] if why[:3] == "KVP" else why[:60], why, content)
                if self.count % _RENDER_EVERY == 0 or checked.units:
                    self._write(checked)
        except _HangsError as error:
            self._defect(f"hangs in {_where(error)}", "".join(traceback.format_exception(error)[-8:]), content)
        except SettingError as error:
            if not error.message.endswith("is no file's name."):
                self._defect(f"refused {error.message[:40]}", error.message, content)
        except Exception as error:  # noqa: BLE001  every one is a defect
            self._defect(
                f"{type(error).__name__} in {_where(error)}", "".join(traceback.format_exception(error)[-8:]), content
            )
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        seconds = time.process_time() - before
        self.slowest = max(self.slowest, seconds)
        if SLOW_SECONDS < seconds < HANGS_SECONDS:
            self._defect(
                f"slow {int(seconds)} s {name}", f"{seconds:.1f} s for {len(text):,} characters of {name}", content
            )
        if self.count > 1 and _peak() - peak > MORE_MEGABYTES:
            self._defect("memory", f"{_peak() - peak} MB more for {len(text):,} characters of {name}", content)
        return -1 if seconds > SLOW_SECONDS / 10 else 0

    def _write(self, checked: object) -> None:
        every = self.count % _RENDER_EVERY == 0
        for name, render in formats().items():
            if every or name == "full":
                render(checked, rules=rules(), width=80).encode("utf-8", "surrogateescape")  # type: ignore[arg-type]

    def _defect(self, key: str, why: str, content: bytes) -> None:
        if key in self.defects:
            return
        self.defects[key] = why
        print(f"DEFECT {key}\n{why}", flush=True)
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)

    def mutate(self, content: bytes, longest: int, seed: int) -> bytes:
        """Return an input changed: along the structure of texts, under another name, or as libFuzzer would."""
        draw = random.Random(seed)  # noqa: S311  no secret
        if draw.random() < 0.25:
            changed: bytes = atheris.Mutate(content, longest)
            return changed
        name, text = unpacked(content)
        if draw.random() < 0.1 or not name:
            name = draw.choice(self.names)
        if draw.random() < 0.02:
            name, text = draw.choice(self.seeds)
        try:
            return packed(name, check_inputs.mutated(text, draw, self.seeds, most=longest))[:longest]
        except UnicodeEncodeError:
            return packed(name, text)[:longest]

    def summary(self, started: float) -> None:
        """Print what was done and found."""
        seconds = time.monotonic() - started
        rate = self.count / max(seconds, 1e-9)
        print(
            f"{self.count:,} inputs in {seconds:.0f} s, {rate:.0f} per second; slowest {self.slowest:.2f} s of processor time"
        )
        print(
            f"{self.units:,} engines found, {self.verdicts:,} inputs with a verdict; peak {_peak()} MB; {len(self.defects)} defects"
        )
        for key in sorted(self.defects):
            print(f"  {key}")
        sys.stdout.flush()


def _where(error: BaseException) -> str:
    """Return the package's own line that an exception came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "kvplan" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "the fuzzer"


def _give_up(_: int, __: object) -> None:
    raise _HangsError


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Fuzz as asked on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=0, help="so many inputs")
    parser.add_argument(
        "--seconds", type=int, default=60, help="at most so long (default 60; no limit where --runs is given)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seeds", type=Path, action="append", default=[], help="a folder of further files to start from"
    )
    parser.add_argument("--corpus", type=Path, help="a folder that keeps what reached new code")
    parser.add_argument("--keep", type=Path, help="a folder for what is found")
    parser.add_argument("--again", type=Path, nargs="+", help="check these once more")
    asked = parser.parse_args()
    asked.keep, asked.corpus = (folder and folder.resolve() for folder in (asked.keep, asked.corpus))
    seeds = [seed for folder in (check_inputs.SEEDS, *asked.seeds) for seed in check_inputs.read_seeds(folder)]
    again = [path.read_bytes() for path in asked.again or ()]
    fuzzer = Fuzzer(asked.keep, seeds)
    os.chdir(tempfile.mkdtemp(prefix="kvplan-fuzz-"))  # nothing lies beside the files that are checked
    started = time.monotonic()
    signal.signal(signal.SIGVTALRM, _give_up)
    if again:
        for content in again:
            fuzzer.once(content)
        fuzzer.summary(started)
        sys.exit(bool(fuzzer.defects))
    corpus = asked.corpus or Path(tempfile.mkdtemp(prefix="kvplan-corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for name, text in seeds:
        content = packed(name, text)[:LONGEST]
        (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    limits = [f"-runs={asked.runs}"] if asked.runs else [f"-max_total_time={asked.seconds}"]
    options = [
        f"-seed={asked.seed}",
        f"-max_len={LONGEST}",
        "-timeout=600",
        "-rss_limit_mb=4096",
        "-len_control=0",
        "-print_final_stats=0",
    ]
    once = _then(fuzzer.once, lambda: _end(fuzzer, started, asked))
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], once, custom_mutator=fuzzer.mutate)
    atheris.Fuzz()


def _then(once: Callable[[bytes], int], end: Callable[[], None]) -> Callable[[bytes], int]:
    def run(content: bytes) -> int:
        kept = once(content)
        end()
        return kept

    return run


def _end(fuzzer: Fuzzer, started: float, asked: argparse.Namespace) -> None:
    """Say what was found once the limit is reached, and end: libFuzzer ends the process itself and leaves no time for it."""
    over = fuzzer.count >= asked.runs if asked.runs else time.monotonic() - started >= asked.seconds
    if over:
        fuzzer.summary(started)
        os._exit(bool(fuzzer.defects))


if __name__ == "__main__":
    main()
