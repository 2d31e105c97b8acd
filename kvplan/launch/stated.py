"""What an engine's words and variables state, flag by flag, by names that all engines share; odd flags are said, none ends the reading."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kvplan.launch.peel import Launch
from kvplan.launch.text import MASK, Source, Text
from kvplan.launch.words import Given, Word

# Names that are whole numbers, and fractions.
WHOLE = frozenset(
    ("tensor_parallel", "pipeline_parallel", "data_parallel", "nodes", "max_model_len", "max_num_seqs", "max_num_batched_tokens")
)
FRACTIONS = frozenset(("gpu_memory_utilization",))
# What stands for a value that the file does not say: a shell's or Kubernetes' variable, a template's expression, `<fill in>`.
_UNSETTLED = re.compile(
    rf"\$\{{[^}}]*\}}|\$\([^)]*\)|\$\w+|%[a-zA-Z](?=$|/)|`[^`]*`|^__\w+__$|^@@?\w+@@?$|{MASK}+|^<[^<>]+>$|^\{{\{{.*\}}\}}$", re.ASCII | re.DOTALL
)


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


# Flags of NVIDIA Dynamo's workers (components/src/dynamo/trtllm/utils/trtllm_utils.py), and the engine's own for them.
_OF_WORKERS = {"--model-path": "model", "--model": "model", "--extra-engine-args": "--extra_llm_api_options"}


class Flags:
    """The flags of an engine that is not planned yet, from its table.

    Args:
        table: `engines/<name>/flags.json`.
        wrapped: whether another program runs the engine and takes flags of its own beside them (NVIDIA Dynamo's workers).

    """

    def __init__(self, table: Mapping[str, Any], *, wrapped: bool = False) -> None:
        self.table = table
        self.wrapped = wrapped
        self.style: str = table.get("style", "argparse")
        self.names: dict[str, tuple[str, str]] = {}
        for main, entry in table["flags"].items():
            for name in (main, *entry.get("aliases", ())):
                self.names[name] = (main, entry["takes"])
        if wrapped:
            for name, main in _OF_WORKERS.items():
                self.names.setdefault(name, (main, "one"))
        yaml = table.get("yaml", {}).get("keys", {})
        self.keys = {key for keys in yaml.values() for key in keys}
        self.loose = {_plain(name): name for name in self.names}

    def read(self, words: Sequence[Word]) -> Stated:
        """Return what the words state."""
        found = Stated()
        positional: list[Word] = []
        at, only_words = 0, False
        while at < len(words):
            word = words[at]
            at += 1
            if word.text == "--":
                only_words = True
            elif only_words or not self._is_flag(word.text):
                positional.append(word)
            else:
                at = self._flag(words, at, word, found)
        for word in positional:
            if unsettled(word.text) and "model" in found.flags:
                found.open_words.append(word)
            elif self.table.get("positional") and "model" not in found.flags:
                found.flags["model"] = Given(word.text, (word,))
        self._share(found)
        self.take_keys(found.keys, found)
        return found

    def _is_flag(self, text: str) -> bool:
        return len(text) > 1 and text[0] == "-" and not re.fullmatch(r"-\d*\.?\d+", text) and " " not in text.partition("=")[0]

    def _flag(self, words: Sequence[Word], at: int, word: Word, found: Stated) -> int:
        """Read one flag with its values; return where the next one stands."""
        name, equals, value = word.text.partition("=")
        key = name.lstrip("-").replace("-", "_")
        if ("." in key or key in self.keys) and name not in self.names and not equals and at < len(words):
            found.keys[key] = Given(words[at].text, (word, words[at]))
            return at + 1
        known = self._known(name, word, found)
        if known is None:
            # What follows an unknown flag is most likely its value; it is no model.
            return at + 1 if not equals and at < len(words) and not self._is_flag(words[at].text) else at
        main, takes = known
        if equals:
            if self.style == "llama":
                found.problems.append(
                    Problem("value", f"{name}=… is not read: llama.cpp takes a flag and its value as two words.", f"Write {name} {value}.", (word,))
                )
            found.flags[main] = Given(value, (word,))
            return at
        if takes == "none":
            if word.place is not None and at < len(words) and words[at].text.lower() in ("true", "false"):
                # A key of a configuration file, written as flag and value.
                found.flags[main] = Given(words[at].text.lower() == "true", (word, words[at]))
                return at + 1
            found.flags[main] = Given(True, (word,))
            return at
        most = {"many": len(words), "one": 1, "maybe": 1, "each": 1}[takes]
        values: list[Word] = []
        while at < len(words) and len(values) < most and words[at].text != "--" and (
            not self._is_flag(words[at].text) or (takes == "one" and self.style in ("clap", "click", "llama") and not values and words[at].text not in self.names)
        ):
            values.append(words[at])
            at += 1
        if not values and takes in ("one", "each"):
            found.problems.append(Problem("value", f"{name} has no value.", "Give it one, or leave it out.", (word,)))
            return at
        said: Any = [each.text for each in values] if takes == "many" and len(values) > 1 else values[0].text if values else True
        found.flags[main] = Given(said, (word, *values))
        return at

    def _known(self, name: str, word: Word, found: Stated) -> tuple[str, str] | None:
        if name in self.names:
            return self.names[name]
        if self.style == "argparse" and name.startswith("--"):
            matches = {self.names[each] for each in self.names if each.startswith(name)}
            if len(matches) == 1:
                return matches.pop()
            if len(matches) > 1:
                meant = sorted(main for main, _ in matches)
                found.problems.append(
                    Problem("ambiguous", f"{name} may stand for {', '.join(meant[:3])}.", "Write the one that is meant in full.", (word,))
                )
                return None
        removed: Mapping[str, str] = self.table.get("removed", {})
        title = self.table["engine"]
        loose = self.loose.get(_plain(name))
        if name in removed:
            found.problems.append(Problem("removed", f"{title} has {name} no more: {removed[name]}.", "", (word,)))
            return self.names.get(removed[name].partition(";")[0].strip())
        if unsettled(name):
            found.open_words.append(word)
            return None
        import difflib  # noqa: PLC0415  on the way to a finding

        near = [loose] if loose else difflib.get_close_matches(name, self.names, n=1, cutoff=0.75)
        hint = f"Did you mean {near[0]}?" if near else ""
        if not self.wrapped:
            found.problems.append(Problem("unknown", f"{title} has no flag {name[:60]}.", hint, (word,)))
        return self.names[loose] if loose else None

    def take_environment(self, environment: Mapping[str, Given], found: Stated) -> None:
        """Put what variables state where no flag does (`NUM_SHARD`, `LLAMA_ARG_CTX_SIZE`, `OLLAMA_CONTEXT_LENGTH`)."""
        for main, entry in self.table["flags"].items():
            if (variable := entry.get("env")) in environment and main not in found.flags:
                found.flags[main] = environment[variable]
        for variable in self.table.get("env", {}):
            if variable in environment:
                found.flags[variable] = environment[variable]
        for variable, why in self.table.get("retired", {}).items():
            if variable in environment:
                found.problems.append(
                    Problem("ignored", f"{self.table['engine']} does not read {variable} any more: {why}.", "", environment[variable].words)
                )
        self._misspelt(environment, found)
        self._share(found)

    def _misspelt(self, environment: Mapping[str, Given], found: Stated) -> None:
        """Name variables with the engine's own prefix that it does not read."""
        known = set(self.table.get("env", {})) | set(self.table.get("retired", {}))
        prefix = {"ollama": "OLLAMA_", "nim": "NIM_"}.get(self.table["engine"])
        if prefix is None:
            return
        import difflib  # noqa: PLC0415  on the way to a finding

        for variable, given in environment.items():
            if variable.startswith(prefix) and variable not in known:
                near = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
                hint = f"Did you mean {near[0]}?" if near else ""
                found.problems.append(Problem("ignored", f"{self.table['engine']} reads no variable {variable[:60]}.", hint, given.words))

    def _share(self, found: Stated) -> None:
        for name, flags in self.table["inputs"].items():
            for flag in [flags] if isinstance(flags, str) else flags:
                if flag in found.flags:
                    given = found.flags[flag]
                    found.values[name] = Given(number_of(name, given.value), given.words)
                    break
        if "model" in found.flags:
            found.values.setdefault("model", found.flags["model"])

    def take_keys(self, values: Mapping[str, Given], found: Stated) -> None:
        """Put what a configuration file states, by dotted keys; the table says whether it wins over flags."""
        yaml = self.table.get("yaml", {})
        for name, keys in yaml.get("keys", {}).items():
            for key in keys:
                if key in values and (name not in found.values or yaml.get("wins")):
                    found.values[name] = Given(number_of(name, values[key].value), values[key].words)


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()


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
    flags = Flags(table, wrapped=launch.wrapped)
    found = flags.read(launch.words)
    if launch.model is not None:
        found.values.setdefault("model", launch.model)
    flags.take_environment(launch.environment, found)
    _read_files(flags, found, read_file)
    return found


def _read_files(flags: Flags, found: Stated, read_file: Callable[[str], str | Text]) -> None:
    """Put what the configuration file of a launch states, where it can be read."""
    for flag in flags.table.get("yaml", {}).get("flags", ()):
        given = found.flags.get(flag)
        if given is None or not isinstance(given.value, str) or unsettled(given.value):
            continue
        from kvplan.errors import SettingError  # noqa: PLC0415  only for files that are named

        try:
            text = read_file(given.value)
        except SettingError:
            found.open_words.append(given.words[-1])
            continue
        flags.take_keys(dotted(text, given.words), found)


def dotted(text: str | Text, words: tuple[Word, ...]) -> dict[str, Given]:
    """Return the scalars of a YAML mapping by dotted keys with underscores (`kv_cache_config.dtype`)."""
    from kvplan.deploy.tree import Node, documents  # noqa: PLC0415  only for files that are named
    found: dict[str, Given] = {}
    source = text if isinstance(text, Text) else Source(words[-1].text if words else "", str(text))
    trees = documents(source)

    def walk(node: Node, prefix: str, depth: int) -> None:
        for key, value in node.entries():
            name = f"{prefix}{key.value.replace('-', '_')}"
            if value.kind == "scalar" and not value.is_null:
                place = value.text
                found[name] = Given(value.value, (Word(key.value, place=key.text), Word(value.value, place=place)))
            elif value.kind == "map" and depth < 4:
                walk(value, f"{name}.", depth + 1)

    for document in trees[:1]:
        walk(document.root, "", 0)
    return found
