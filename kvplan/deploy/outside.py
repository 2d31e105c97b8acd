"""What no file says: the model, GPU, version and variables that come from options, `kvplan.toml` or comments in the file."""

import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from kvplan.engines import NAMES, find_engine
from kvplan.gpus import find_gpu
from kvplan.launch.text import MASK, Run, Text, join
from kvplan.launch.words import Word

_VARIABLE = re.compile(
    r"\$\{([A-Za-z_]\w*)(?::?[-?][^}]{0,1000})?\}|\$\(([A-Za-z_][\w.-]*)\)|\$([A-Za-z_]\w*)", re.ASCII
)
_EXPRESSION = re.compile(r"\{\{-?\s*([.$\w][\w.$-]*)\s*(?:\|[^}]{0,1000})?-?\}\}|\$\{\{\s*([\w.-]+)\s*\}\}", re.ASCII)
# What `--model` takes for a file or a folder.
_PATH = re.compile(r"[./~\\]|.*\.(?:json|gguf|safetensors|bin|pt|pth)\Z|.*[:\0]", re.DOTALL)


def names_a_path(model: str) -> bool:
    """Whether a model's name is a path's, or a file's in a repository."""
    return _PATH.match(model) is not None or model.count("/") > 1


def check_facts(facts: "Facts") -> None:
    """Refuse a GPU or an engine that there is not.

    Raises:
        KvplanError: with the nearest names.

    """
    if facts.gpu is not None:
        find_gpu(facts.gpu)
    name = (facts.engine or "").partition("@")[0]
    if name and name != "nim" and name not in NAMES:
        find_engine(name)


_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is said from outside; None where it is not.

    Attributes:
        gpu: as `--gpu`.
        engine: as `--engine`, `vllm@0.11` or `@0.11`.
        model: what the unit serves, whatever its file calls it.
        models: what names and paths in files stand for; a name may be a pattern (`/models/*`).
        variables: values of `$VAR`, `$(VAR)`, `${{ var }}` and `{{ .Values.var }}`.
        context: tokens of one request that must fit; None: the engine's own longest.
        users: requests that must fit at once.
        insisted: which of `gpu` and `model` hold whatever the file says (options); others fill in what it leaves open
            (comments, the configuration), so that a file's own word is never passed over in silence.

    """

    gpu: str | None = None
    engine: str | None = None
    model: str | None = None
    models: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    context: int | None = None
    users: int | None = None
    insisted: frozenset[str] = frozenset()

    def over(self, other: "Facts") -> "Facts":
        """Return these, with those of another where these say nothing."""
        return Facts(
            gpu=self.gpu or other.gpu,
            engine=self.engine or other.engine,
            model=self.model or other.model,
            models=other.models | self.models,
            variables=other.variables | self.variables,
            context=self.context or other.context,
            users=self.users or other.users,
            insisted=self.insisted | (other.insisted - {name for name in ("gpu", "model") if getattr(self, name)}),
        )

    def model_of(self, name: str) -> str | None:
        """Return what a name or path in a file stands for; None where nothing says."""
        if self.model is not None and "model" in self.insisted:
            return self.model
        if name in self.models:
            return self.models[name]
        by_pattern = next((to for pattern, to in self.models.items() if fnmatchcase(name, pattern)), None)
        return by_pattern or (None if _HUB_ID.fullmatch(name) else self.model)

    def put_in(self, word: Word) -> Word:
        """Return a word with the variables that are known from outside put in."""
        word = _with_defaults(word)
        if not self.variables:
            return word
        text = word.place or Text(word.text)
        written = text.written() if word.place is not None else word.text
        pattern = _EXPRESSION if written != word.text or "{{" in word.text else _VARIABLE
        if pattern is _EXPRESSION:
            if len(written) != len(text.value):
                return word
            value = written
        else:
            value = text.value
        parts: list[Text | str] = []
        done = 0
        for match in pattern.finditer(value):
            name = next((group for group in match.groups() if group), "")
            known = self._variable(name)
            if known is None:
                continue
            parts += [text.cut(done, match.start()), _standing(known, text.cut(match.start(), match.end()))]
            done = match.end()
        if not done:
            return word
        whole = join([*parts, text.cut(done)])
        return replace(word, text=whole.value, place=whole if whole.runs else None, pieces=())

    def _variable(self, name: str) -> str | None:
        for spelling in (
            name,
            name.lstrip("."),
            name.removeprefix(".Values."),
            name.removeprefix("$").removeprefix(".Values."),
        ):
            if spelling in self.variables:
                return self.variables[spelling]
        return None


# `{{ x | default(8192) }}` of Jinja, `{{ .Values.x | default 8192 }}` of Helm; filters behind it that keep the value.
_DEFAULT = re.compile(
    r"""\{\{-?\s*[.$\w][\w.$\[\]'"-]*\s*\|\s*default\s*\(?\s*(?:'([^'{}]*)'|"([^"{}]*)"|([\w./+-]+))\s*(?:,\s*true\s*)?\)?"""
    r"""\s*(?:\|\s*(?:quote|squote|int|string|toString|trim)\s*)*-?\}\}""",
    re.ASCII,
)


def _with_defaults(word: Word) -> Word:
    """Return a word with the defaults that a template's expressions state in place of what nothing settles."""
    if MASK not in word.text or word.place is None:
        return word
    text, written = word.place, word.place.written()
    if len(written) != len(text.value):
        return word
    parts: list[Text | str] = []
    done = 0
    for match in _DEFAULT.finditer(written):
        value = next((group for group in match.groups() if group is not None), "")
        parts += [text.cut(done, match.start()), _standing(value, text.cut(match.start(), match.end()))]
        done = match.end()
    if not done:
        return word
    whole = join([*parts, text.cut(done)])
    return replace(word, text=whole.value, place=whole, pieces=())


def _standing(value: str, instead: Text) -> Text:
    """Return a value that stands where the variable does."""
    place = instead.place()
    return Text(value, () if place is None else (Run(0, len(value), place.source, place.start, place.end),))
