"""What no file says: the model, GPU, version and variables that come from options, `kvplan.toml` or comments in the file."""

import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from kvplan.launch.text import Text, join
from kvplan.launch.words import Word

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::?[-?][^}]*)?\}|\$\(([A-Za-z_][\w.-]*)\)|\$([A-Za-z_]\w*)", re.ASCII)
_EXPRESSION = re.compile(r"\{\{-?\s*([.$\w][\w.$-]*)\s*(?:\|[^}]*)?-?\}\}|\$\{\{\s*([\w.-]+)\s*\}\}", re.ASCII)


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

    """

    gpu: str | None = None
    engine: str | None = None
    model: str | None = None
    models: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    context: int | None = None
    users: int | None = None

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
        )

    def model_of(self, name: str) -> str | None:
        """Return what a name or path in a file stands for; None where nothing says."""
        if self.model is not None:
            return self.model
        if name in self.models:
            return self.models[name]
        return next((to for pattern, to in self.models.items() if fnmatchcase(name, pattern)), None)

    def put_in(self, word: Word) -> Word:
        """Return a word with the variables that are known from outside put in."""
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
        for spelling in (name, name.lstrip("."), name.removeprefix(".Values."), name.removeprefix("$").removeprefix(".Values.")):
            if spelling in self.variables:
                return self.variables[spelling]
        return None


def _standing(value: str, instead: Text) -> Text:
    """Return a value that stands where the variable does."""
    place = instead.place()
    if place is None:
        return Text(value)
    from kvplan.launch.text import Run  # noqa: PLC0415  only for values from outside

    return Text(value, (Run(0, len(value), place.source, place.start, place.end),))
