"""Engines' settings in the configuration of another program: a map `vllm:`, `engine_args:` of each stage, a model of a list."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kvplan.deploy import chart
from kvplan.deploy.engine_settings import OWN, PROGRAMS, TRTLLM, words_of
from kvplan.deploy.file import File
from kvplan.deploy.helm import CHARTS, ENGINES, blocks, is_client, is_off
from kvplan.deploy.keys import flag_for, flat, words_in
from kvplan.deploy.overlay import mapping
from kvplan.deploy.settings import flag_names, plain
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.workload import Workload, words
from kvplan.launch.words import Given, Word

_NAMED = re.compile(r"(?:.*[_-])?(vllm|sglang|trt-?llm|tensorrt[_-]?llm|lmdeploy)(?:[_-].*)?", re.IGNORECASE)
# What programs call the settings that they hand to an engine.
_ARGUMENTS = re.compile(
    r"(?:extra_?)?(?:engine|server|serve|serving|llm|runtime|backend)_?(?:args|kwargs|arguments|params|options)",
    re.IGNORECASE,
)
# Settings that clients of an engine and other programs have as well.
_WEAK = frozenset({
    "model", "modelpath", "modelname", "host", "port", "seed", "dtype", "apikey", "tokenizer", "revision", "timeout", "device",
    "trustremotecode", "downloaddir", "servedmodelname", "config", "backend", "loglevel", "chattemplate", "task", "runner",
})  # fmt: skip
# What trains a model has these; the engines that it samples with are no deployment.
_TRAINING = frozenset({
    "learning_rate", "lr", "optimizer", "optim", "num_train_epochs", "per_device_train_batch_size", "train_batch_size",
    "actor_rollout_ref", "rollout_batch_size", "gradient_accumulation_steps", "lora_alpha", "total_epochs", "num_epochs",
    "train_micro_batch_size", "grpo", "ppo", "warmup_steps", "weight_decay", "global_batch_size", "rollout",
})  # fmt: skip
# Lists and texts of flags.
_FLAGS = re.compile(r"(?:.*[_-])?(?:args|arguments|flags|cmd|command|options|params)(?:_template)?", re.IGNORECASE)
# `--max-model-len 4096` in one item; others may be JSON.
_SEVERAL = re.compile(r"\s*-{1,2}[A-Za-z][\w.-]*[=\s]\s*\S+\s+\S|\s*-{1,2}[A-Za-z][\w.-]*\s+\S")
# Of a map's keys, so many must be the engine's, where its own key says that they are and elsewhere: wrappers add some.
_SOME, _HALF = 0.4, 0.5
# What answers as an engine does and holds no model; what is put over settings that stand elsewhere.
_PRETENDS = re.compile(r"mock|simulat|overrides?$|variants?$|presets?$|hardware", re.IGNORECASE)
_DEEPEST, _MOST = 8, 100


@dataclass(frozen=True, slots=True)
class _Flags:
    """An engine's flags, and the key that holds them."""

    engine: str
    key: Node
    words: tuple[Word, ...]


@dataclass(slots=True)
class _Settings:
    """What the keys of a map say: those of an engine's, the telling among them, and how many there are in all."""

    engine: str
    node: Node
    flags: tuple[tuple[str, str], ...]
    telling: int
    strong: int
    total: int
    needs_model: bool = True

    @property
    def known(self) -> float:
        return len(self.flags) / max(1, self.total)


def engines_in(file: File, document: Document) -> Iterator[Workload]:
    """Yield the engines whose settings a document holds, below its top."""
    root = document.root
    if file.name.endswith(".json") or root.get("apiVersion") or root.get("$schema") or _trains(root):
        return
    if any(blocks(file, chart_) for chart_ in CHARTS):
        return  # what a known chart does not start of its values, nothing else does
    for number, workload in enumerate(_Search().engines(root), 1):
        workload.templated = document.templated
        yield workload
        if number == _MOST:
            return


def _trains(root: Node) -> bool:
    return any(key.value in _TRAINING for node in root.walk() for key, _ in node.pairs)


class _Search:
    """One pass over a document; what its maps say of a model is looked up once."""

    def __init__(self) -> None:
        self._near: dict[int, Given | None] = {}

    def engines(self, root: Node) -> Iterator[Workload]:
        """Yield those of the flags at the top, else those further down."""
        flags = _flags(root)
        model = self._model((root,)) if flags is not None else None
        if flags is not None and model is not None:
            yield _workload(flags.engine, flags.words, flags.key.value, flags.key, model)
        else:
            yield from self._walk(root, "", (), 0)

    def _walk(self, node: Node, path: str, above: tuple[Node, ...], depth: int) -> Iterator[Workload]:
        if depth > _DEEPEST or is_off(node):
            return
        for key, value in node.entries():
            if _PRETENDS.search(key.value):
                continue
            below = f"{path}.{key.value}" if path else key.value
            for index, item in enumerate(value.items) if value.kind == "list" else [(-1, value)]:
                if item.kind != "map" or is_off(item):
                    continue
                name = below if index < 0 else f"{below}[{index}]"
                found = self._one(key, item, name, (item, node, *above), listed=index >= 0)
                if found is not None:
                    yield found
                else:
                    yield from self._walk(item, name, (node, *above), depth + 1)

    def _one(self, key: Node, item: Node, name: str, scopes: tuple[Node, ...], *, listed: bool) -> Workload | None:
        settings = _found(key.value, item)
        if settings is not None:
            model = self._model(scopes)
            if model is not None or not settings.needs_model:
                return _workload(settings.engine, _words(settings), name, item if listed else key, model)
        flags = _flags(item)
        model = self._model(scopes) if flags is not None else None
        if flags is None or model is None:
            return None
        return _workload(flags.engine, flags.words, f"{name}.{flags.key.value}", flags.key, model)

    def _model(self, scopes: tuple[Node, ...]) -> Given | None:
        """Return the model: in the settings, else beside them or above."""
        own = chart.model_of(scopes[:1])
        return own or next((one for each in scopes[1:] if (one := self._model_near(each)) is not None), None)

    def _model_near(self, scope: Node) -> Given | None:
        if id(scope) not in self._near:
            near = [pair for pair in scope.entries() if pair[1].kind == "scalar" or pair[0].value == "model"]
            self._near[id(scope)] = chart.model_of((mapping(scope, near),))
        return self._near[id(scope)]


def _found(key: str, value: Node) -> _Settings | None:
    """Return the engine's settings that a map is, by its key and its own keys."""
    if is_client(value):
        return None
    match = _NAMED.fullmatch(key)
    named = ENGINES.get(match[1].lower().replace("_", "-"), "") if match else ""
    if named in OWN:
        own = _settings(named, _flat(value))
        own.needs_model = own.strong < 2
        return own if own.strong and (own.telling or own.strong > 1) and own.known >= _HALF else None
    arguments = _ARGUMENTS.fullmatch(key) is not None or bool(value.get("stage_id"))
    best = max((_settings(engine, value) for engine in OWN), key=lambda each: (each.telling, each.known))
    best.needs_model = not arguments
    return best if best.telling > 1 and best.known >= (_SOME if arguments else _HALF) else None


def _flags(node: Node) -> _Flags | None:
    """Return the flags that a key of a map holds as a list or a text (`server_args: --max-model-len 4096 ...`)."""
    for key, value in node.entries():
        if not _FLAGS.fullmatch(key.value) or not value.each() or any(each.kind != "scalar" for each in value.each()):
            continue
        texts = value.each()
        if not texts[0].value.lstrip().startswith("-"):
            continue
        found = tuple(
            one for each in texts for one in (words_in(each.text) if _SEVERAL.match(each.value) else words([each]))
        )
        names = {plain(each.text.partition("=")[0]) for each in found if each.text.startswith("--")}
        telling = {engine: len(names & {plain(each) for each in own}) for engine, own in OWN.items()}
        engine = max(telling, key=lambda each: telling[each])
        if telling[engine] > 1:
            return _Flags(engine, key, found)
    return None


def _flat(value: Node, depth: int = 0) -> Node:
    """Return a map with the entries of the maps in it, which only group them (`vllm: {performance: {max_num_seqs: 4}}`)."""
    pairs: list[tuple[Node, Node]] = []
    for key, each in value.entries():
        if each.kind == "map" and depth < 2 and not key.value.endswith("config"):
            pairs += _flat(each, depth + 1).pairs
        else:
            pairs.append((key, each))
    return mapping(value, pairs)


def _settings(engine: str, value: Node) -> _Settings:
    names = flag_names(engine)
    own = {plain(each) for each in OWN[engine]}
    more = {plain(each) for each in TRTLLM} if engine == "tensorrt-llm" else set()
    flags, telling, strong, total = [], 0, 0, 0
    for key, each in value.entries():
        name = plain(key.value)
        # Several values of one setting are a sweep's, a map of a type and a text a schema's.
        if each.kind == "scalar" and not each.string.strip():
            continue
        if key.value.isupper() or (name not in own and name in _WEAK):
            continue  # variables, which are a program's of its own
        total += 1
        if (each.kind == "list" and len(each.items) > 1) or (each.kind == "map" and not name.endswith("config")):
            continue
        if name in names or name in own or name in more:
            flags.append((key.value, names.get(name, "")))
            telling += name in own
            strong += name not in _WEAK
    return _Settings(engine, value, tuple(flags), telling, strong, total)


def _workload(engine: str, said: tuple[Word, ...], name: str, place: Node, model: Given | None) -> Workload:
    program = PROGRAMS[engine]
    return Workload(
        format="engine-yaml",
        name=f"settings {name}",
        place=place.place,
        words=said,
        engine=engine,
        model=model,
        half="" if model is not None else f"the program that starts {program} with it",
        notes=(f"taken for settings of {program}, by its keys",),
    )


def _words(found: _Settings) -> tuple[Word, ...]:
    if found.engine == "tensorrt-llm":
        return words_of(found.node, found.engine)
    flags = [flag_for(flag, found.node, key) for key, flag in found.flags if flag]
    if found.engine != "vllm":
        flags = [each for each in flags if not (len(each) == 1 and each[0].text.startswith("--no-"))]
    return flat(flags)
