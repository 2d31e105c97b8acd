"""What an engine's words and variables state, by names that all engines share; odd flags are said, none ends the reading."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kvplan.errors import SettingError
from kvplan.launch.peel import Launch
from kvplan.launch.programs import TITLES
from kvplan.launch.text import MASK, Source, Text
from kvplan.launch.words import Given, Word

# Names that are whole numbers, and fractions.
WHOLE = frozenset((
    "tensor_parallel", "pipeline_parallel", "data_parallel", "nodes", "max_model_len", "max_num_seqs", "max_num_batched_tokens",
    "data_parallel_local",
))  # fmt: skip
FRACTIONS = frozenset(("gpu_memory_utilization",))
# What stands for a value that the file does not say: a shell's or Kubernetes' variable, systemd's, a template's expression,
# `@NAME@`, `<fill in>`.
_UNSETTLED = re.compile(
    rf"\$\{{[^}}]{{0,1000}}\}}|\$\([^)]{{0,1000}}\)|\$\w+|%[a-zA-Z](?=$|/)|`[^`]*`|^\{{\w+\}}$|^__\w+__$|^@@?\w+@@?$|\bREPLACE_(?:ENV|WITH|ME)\w*|{MASK}+|^<[^<>]+>$|^\{{\{{.*\}}\}}$",
    re.ASCII | re.DOTALL,
)
_NUMBER = re.compile(r"-\d*\.?\d+", re.ASCII)
_TWO = re.compile(r"(--[A-Za-z][\w-]*)[ \t]+([^\s\"'{}=-][^\s{}]*)")
# Flags of NVIDIA Dynamo's workers (components/src/dynamo/trtllm/utils/trtllm_utils.py) and of llama-cpp-python's server
# (llama_cpp/server/settings.py), and the engine's own for them.
_OF_WORKERS = {
    "--model-path": "model", "--model": "model", "--extra-engine-args": "--extra_llm_api_options", "--n_ctx": "--ctx-size",
    "--n_batch": "--batch-size", "--n_gpu_layers": "--gpu-layers",
}  # fmt: skip
# As many unknown flags are compared with all that there are.
_MOST_HINTS = 20
_PREFIXES = {"ollama": "OLLAMA_", "nim": "NIM_"}


class Problem(NamedTuple):
    """A flag or variable that the engine would not take, or would leave alone.

    `kind`: "unknown", "removed", "ambiguous", "value" (missing or not of its kind) or "ignored" (a variable that nothing reads).
    """

    kind: str
    message: str
    hint: str
    words: tuple[Word, ...]


@dataclass(slots=True, kw_only=True)
class Stated:
    """What is stated.

    Attributes:
        values: by the shared names; a text where it is not settled (see `unsettled`).
        flags: every flag that was read, by the engine's own name.
        keys: of a configuration file, by dotted names with underscores.
        problems: in the order they stand.
        open_words: words whose flag is not known because they are variables or templates.

    """

    values: dict[str, Given] = field(default_factory=dict)
    flags: dict[str, Given] = field(default_factory=dict)
    keys: dict[str, Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    open_words: list[Word] = field(default_factory=list)


def unsettled(value: Any) -> str:
    """Return the part of a value that the file does not settle (`$MODEL`, `{{ .Values.model }}`); "" where it is settled."""
    if not isinstance(value, str):
        return ""
    match = _UNSETTLED.search(value)
    return "" if match is None else match[0]


def number_of(name: str, value: Any, read_whole: Callable[[str], int] = int) -> Any:
    """Return a stated value as its name's kind; unchanged where it is none of it.

    Args:
        name: the shared one.
        value: as it was read.
        read_whole: how the engine reads whole numbers.

    """
    if not isinstance(value, str) or unsettled(value):
        return value
    text = value.strip()
    try:
        if name in WHOLE and len(text) <= 20:
            return read_whole(text)
        if name in FRACTIONS and len(text) <= 40:
            number = float(text)
            return number if abs(number) < 1e12 else value
    except ValueError:
        pass
    return value


def parted(words: Sequence[Word]) -> tuple[list[Word], list[Problem]]:
    """Return words with each item that holds a flag and its value (`--model org/name`) as two, and what the engine says to such."""
    found: list[Word] = []
    problems: list[Problem] = []
    for word in words:
        match = _TWO.fullmatch(word.text)
        if match is None or word.operator:
            found.append(word)
            continue
        at = match.start(2)
        place = word.place
        found.append(Word(match[1], origin=word.origin, place=None if place is None else place.cut(0, match.end(1))))
        found.append(Word(match[2], origin=word.origin, place=None if place is None else place.cut(at, match.end(2))))
        message = f"{word.text[:60]!r} is one word of a list: the engine knows no flag of that name."
        problems.append(Problem("value", message, f"Write two items, {match[1]} and {match[2][:40]}.", (word,)))
    return found, problems


class Flags:
    """The flags of an engine that is not planned yet, from its table.

    Args:
        table: `engines/<name>/flags.json`.
        wrapped: whether another program runs the engine and takes flags of its own beside them (NVIDIA Dynamo's workers).
        version: of the engine; None: the newest.

    """

    def __init__(self, table: Mapping[str, Any], *, wrapped: bool = False, version: str | None = None) -> None:
        self.table = table
        self.version = _numbers(version or "")
        self.wrapped = wrapped
        self.style: str = table.get("style", "argparse")
        self.title = TITLES.get(table["engine"], table["engine"])
        self.names: dict[str, tuple[str, str]] = {}
        for main, entry in table["flags"].items():
            for name in (main, *entry.get("aliases", ())):
                self.names[name] = (main, entry["takes"])
        if wrapped:
            for name, main in _OF_WORKERS.items():
                if main == "model" or main in self.names:
                    self.names.setdefault(name, (self.names.get(main, (main, ""))[0], "one"))
        self.yaml: Mapping[str, Any] = table.get("yaml", {})
        self.keys = {key for keys in self.yaml.get("keys", {}).values() for key in keys}
        self.loose = {_plain(name): name for name in self.names}
        self.removed: Mapping[str, str] = table.get("removed", {})

    def read(self, words: Sequence[Word], environment: Mapping[str, Given] | None = None) -> Stated:
        """Return what the words state, and the variables where no word does."""
        found = Stated()
        words, found.problems = parted(words)
        positional: list[Word] = []
        at, only_words = 0, False
        while at < len(words):
            word = words[at]
            at += 1
            if word.text == "--" and not only_words:
                only_words = True
            elif only_words or not self._is_flag(word.text):
                positional.append(word)
            else:
                at = self._flag(words, at, word, found)
        self._take_words(positional, found)
        self._take_environment(environment or {}, found)
        self._share(found)
        # The words win over keys that stand beside them.
        self.take_keys(found.keys, found, wins=False)
        return found

    def _is_flag(self, text: str) -> bool:
        return len(text) > 1 and text[0] == "-" and not _NUMBER.fullmatch(text) and " " not in text.partition("=")[0]

    def _flag(self, words: Sequence[Word], at: int, word: Word, found: Stated) -> int:
        """Read one flag with its values; return where the next one stands."""
        name, equals, value = word.text.partition("=")
        if self.style == "llama" and name.startswith("--"):
            name = name.replace("_", "-")  # common/arg.cpp, common_params_parse_ex
        if self._is_key(name, word):
            key = name.lstrip("-").replace("-", "_")
            if not equals and at == len(words):
                return at
            found.keys[key] = Given(value, (word,)) if equals else Given(words[at].text, (word, words[at]))
            return at + (not equals)
        known = self._known(name, word, found)
        if known is None:
            # What follows an unknown flag is most likely its value; it is no model.
            return at + 1 if not equals and at < len(words) and not self._is_flag(words[at].text) else at
        main, takes = known
        if takes == "none":
            return self._bare(words, at, word, main, found)
        values: list[Word] = []
        if equals:
            if self.style == "llama" and not self.wrapped:
                message = f"{name}=… is not read: llama.cpp takes a flag and its value as two words."
                found.problems.append(Problem("value", message, f"Write {name} {value}.", (word,)))
            said: Any = value
        else:
            most = len(words) if takes == "many" else 1
            while at < len(words) and len(values) < most and self._is_value(words[at].text, takes):
                values.append(words[at])
                at += 1
            if not values and takes in ("one", "each"):
                if name not in self.removed:
                    found.problems.append(
                        Problem("value", f"{name} has no value.", "Give it one, or leave it out.", (word,))
                    )
                return at
            said = [each.text for each in values] if len(values) > 1 else values[0].text if values else True
        self._keep(main, takes, Given(said, (word, *values)), found)
        return at

    def _bare(self, words: Sequence[Word], at: int, word: Word, main: str, found: Stated) -> int:
        """Read a flag that takes no value; return where the next one stands."""
        name, equals, value = word.text.partition("=")
        if equals:
            message = f"{name} takes no value, but {value[:60]!r} was given."
            found.problems.append(Problem("value", message, f"Write {name} alone.", (word,)))
        elif word.place is not None and at < len(words) and words[at].text.lower() in ("true", "false"):
            # A key of a configuration file, written as flag and value.
            found.flags[main] = Given(words[at].text.lower() == "true", (word, words[at]))
            return at + 1
        self._keep(main, "none", Given(value.lower() != "false", (word,)), found)
        return at

    def _is_value(self, text: str, takes: str) -> bool:
        if text == "--":
            return False
        # click and llama.cpp take whatever follows; a flag that they know is meant for one all the same.
        return not self._is_flag(text) or (
            takes == "one" and self.style in ("click", "llama") and text not in self.names
        )

    def _keep(self, main: str, takes: str, given: Given, found: Stated) -> None:
        before = found.flags.get(main)
        if takes == "each" and before is not None:
            earlier = before.value if isinstance(before.value, list) else [before.value]
            given = Given([*earlier, given.value], (*before.words, *given.words))
        elif before is not None and self.style == "clap" and not self.wrapped:
            message = f"{main} stands more than once, with which {self.title} does not start."
            found.problems.append(Problem("value", message, "Keep one.", given.words))
        found.flags[main] = given

    def _is_key(self, name: str, word: Word) -> bool:
        """Whether a word is a key of a configuration file, which formats put before the words as a flag."""
        if name in self.names:
            return False
        key = name.lstrip("-").replace("-", "_")
        if "." in key:
            return key.partition(".")[0].isidentifier()
        # A file of TensorRT-LLM holds more than its command line.
        made = word.place is not None and word.place.value[:1] not in ("-", "")
        return self.style == "click" and (key in self.keys or made) and (made or _plain(name) not in self.loose)

    def _known(self, name: str, word: Word, found: Stated) -> tuple[str, str] | None:
        """Return the flag that is meant, and what it takes; None where it is none."""
        if name in self.names:
            return self.names[name]
        abbreviates = self.style == "argparse" and name.startswith("--")
        matches = {self.names[each] for each in self.names if each.startswith(name)} if abbreviates else set()
        if len(matches) == 1:
            return matches.pop()
        if name in self.removed:
            other, _, when = self.removed[name].rpartition(";")
            hint = f"Use {other.strip()}." if other.startswith("-") else ""
            what = (when if other.startswith("-") else self.removed[name]).strip()
            if self._is_gone(what):
                found.problems.append(Problem("removed", f"{self.title} has {name} no more: {what}.", hint, (word,)))
            return self.names.get(other.strip())
        if matches:
            meant = ", ".join(sorted(main for main, _ in matches)[:3])
            hint = "Write the one that is meant in full."
            found.problems.append(Problem("ambiguous", f"{name} may stand for {meant}.", hint, (word,)))
            return None
        if unsettled(name):
            found.open_words.append(word)
            return None
        loose = self.loose.get(_plain(name))
        if not self.wrapped:
            near = [loose] if loose else _nearest(name, self.names, 0.75, found)
            hint = f"Did you mean {near[0]}?" if near else ""
            found.problems.append(Problem("unknown", f"{self.title} has no flag {name[:60]}.", hint, (word,)))
        return self.names[loose] if loose else None

    def _is_gone(self, when: str) -> bool:
        """Whether `gone by 0.5.20` holds for the version that is launched."""
        release = re.search(r"\b(?:by|in) (b?\d[\d.]*)", when)
        return release is None or not self.version or _numbers(release[1]) <= self.version

    def _take_words(self, positional: Sequence[Word], found: Stated) -> None:
        """Take the model where it stands for itself."""
        flags = self.table["inputs"].get("model", ())
        named = any(flag in found.flags for flag in ("model", *([flags] if isinstance(flags, str) else flags)))
        for word in positional:
            if self.table.get("positional") and not named:
                found.flags["model"] = Given(word.text, (word,))
                named = True
            elif unsettled(word.text):
                found.open_words.append(word)

    def _take_environment(self, environment: Mapping[str, Given], found: Stated) -> None:
        """Put what variables state where no flag does (`NUM_SHARD`, `LLAMA_ARG_CTX_SIZE`, `OLLAMA_CONTEXT_LENGTH`)."""
        for main, entry in self.table["flags"].items():
            if (variable := entry.get("env")) in environment and main not in found.flags:
                found.flags[main] = environment[variable]
        for variable in self.table.get("env", {}):
            if variable in environment:
                found.flags[variable] = environment[variable]
        for variable, why in self.table.get("retired", {}).items():
            if variable in environment and self._is_gone(why):
                message = f"{self.title} does not read {variable} any more: {why}."
                found.problems.append(Problem("ignored", message, "", environment[variable].words))
        prefix = _PREFIXES.get(self.table["engine"])
        known = {*self.table.get("env", ()), *self.table.get("retired", ())}
        for variable, given in environment.items():
            # Variables with the engine's own prefix that it does not read.
            if prefix is not None and variable.startswith(prefix) and variable not in known:
                near = _nearest(variable, known, 0.8, found)
                hint = f"Did you mean {near[0]}?" if near else ""
                message = f"{self.title} reads no variable {variable[:60]}."
                found.problems.append(Problem("ignored", message, hint, given.words))

    def _share(self, found: Stated) -> None:
        for name, flags in self.table["inputs"].items():
            for flag in [flags] if isinstance(flags, str) else flags:
                if flag in found.flags:
                    given = found.flags[flag]
                    # An engine's own numbers for what has a name elsewhere (LMDeploy's --quant-policy 8 is int8).
                    value = self.table.get("means", {}).get(name, {}).get(str(given.value), given.value)
                    found.values[name] = Given(number_of(name, value), given.words)
                    break
        if "model" in found.flags:
            found.values.setdefault("model", found.flags["model"])

    def take_keys(self, values: Mapping[str, Given], found: Stated, *, wins: bool) -> None:
        """Put what a configuration file states, by dotted keys; `wins` says whether over flags."""
        for name, keys in self.yaml.get("keys", {}).items():
            given = next((values[key] for key in keys if key in values), None)
            if given is not None and (wins or name not in found.values):
                found.values[name] = Given(number_of(name, given.value), given.words)


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()


def _numbers(version: str) -> tuple[int, ...]:
    """Return `0.5.12.post1` as (0, 5, 12) and `b9200` as (9200,)."""
    match = re.match(r"[vb]?(\d{1,6}(?:\.\d{1,6}){0,3})", version)
    return () if match is None else tuple(int(part) for part in match[1].split("."))


def _nearest(name: str, known: Mapping[str, Any] | set[str], cutoff: float, found: Stated) -> list[str]:
    import difflib  # noqa: PLC0415  on the way to a finding

    if len(found.problems) > _MOST_HINTS:
        return []
    return difflib.get_close_matches(name[:60], known, n=1, cutoff=cutoff)


def read_stated(launch: Launch, release: str | None, read_file: Callable[[str], str | Text]) -> Stated:
    """Return what a launch states.

    Args:
        launch: the words and variables.
        release: of the engine; None: the newest.
        read_file: returns the text of a file that it names.

    """
    if launch.engine == "vllm":
        from kvplan.engines.vllm.command.stated import read_vllm_stated  # noqa: PLC0415  the engine whose tables are by release

        return read_vllm_stated(launch, release, read_file)
    from kvplan.engines import flag_table  # noqa: PLC0415  only for engines that are not planned

    table = flag_table(launch.engine)
    if table is None:
        return Stated()
    version = str(launch.version.value) if launch.version is not None else release
    flags = Flags(table, wrapped=launch.wrapped, version=version)
    found = flags.read(launch.words, launch.environment)
    if launch.model is not None:
        found.values.setdefault("model", launch.model)
    for flag in flags.yaml.get("flags", ()):
        if (given := found.flags.get(flag)) is not None:
            _take_file(flags, given, found, read_file)
    return found


def _take_file(flags: Flags, given: Given, found: Stated, read_file: Callable[[str], str | Text]) -> None:
    """Put what the configuration file of a launch states, where it can be read."""
    if not isinstance(given.value, str) or unsettled(given.value):
        return
    try:
        text = read_file(given.value)
    except SettingError:
        found.open_words.append(given.words[-1])
        return
    flags.take_keys(dotted(text, given.value), found, wins=bool(flags.yaml.get("wins")))


def dotted(text: str | Text, path: str) -> dict[str, Given]:
    """Return the scalars of a settings file by dotted keys with underscores (`kv_cache_config.dtype`)."""
    from kvplan.launch.settings_file import settings  # noqa: PLC0415  only for files that are named

    whole = Source(path, text).whole() if isinstance(text, str) else text
    return {
        ".".join(keys).replace("-", "_"): Given(
            value.value, (Word(key.value, place=key), Word(value.value, place=value))
        )
        for keys, key, value in settings(whole)
    }
