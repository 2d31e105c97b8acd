"""What a deployment file starts: programs with an image, variables, GPUs and memory, whatever the file's format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from kvplan.deploy.tree import Node
from kvplan.launch.text import Place, Text
from kvplan.launch.words import Given, Word


@dataclass(slots=True, kw_only=True)
class Gpus:
    """What a workload asks for, or is placed on.

    Attributes:
        count: GPUs of one node (pod, container, machine); None: not said, or all.
        types: what says which GPU, as written (a product label, an instance type, an accelerator's name); several are
            alternatives, of which the scheduler takes any.
        nodes: machines that share one engine (a LeaderWorkerSet's size); None: one.
        partition: of a GPU (`1g.10gb`), where the resource name says so.
        shared_by: how many may share one GPU by time slicing or MPS, where that is said.

    """

    count: Given | None = None
    types: tuple[Given, ...] = ()
    nodes: Given | None = None
    partition: Given | None = None
    shared_by: Given | None = None


@dataclass(slots=True, kw_only=True)
class Workload:
    """Something that a file starts: a container, a script, a service, a set of an engine's own settings.

    What runs is one of: `command` and `args` (in an image), `script` (a shell's text), or `words` (an engine's own flags,
    made of a resource's keys). Every text in it keeps its place in the file.

    Attributes:
        format: the format's name (`kubernetes`, `docker-compose` ...).
        name: tells it from others in the file, whatever line it is on: `Deployment serving/llama, container vllm`.
        place: where its block starts, for messages about the whole of it.
        image: of the container.
        command: takes the place of the image's entry point; None: it does not.
        args: words after it.
        script: a shell's text.
        words: an engine's own flags.
        engine: by the contract's name, where the format says it and not the words.
        version: of the engine, where the format says it and the image does not.
        model: where the format names it outside the words.
        environment: variables that the engine sees.
        gpus: what it asks for.
        memory: bytes of host memory that it is limited to.
        shared_memory: bytes of /dev/shm; a value of None where it has no bound of its own.
        replicas: copies of the whole.
        group: workloads of one group are parts of one engine (the leader and workers of a set); the first with an engine
            counts; "" for none.
        half: what else is needed to know the whole (`a ServingRuntime and the InferenceService that uses it`), where the
            file holds only a part; "" where it is whole.
        sets_parallelism: what chooses the parallel sizes where the words do not (KAITO, NIM's profiles).
        templated: whether template expressions decide what is in it.
        adds: further flags that the format gives the engine: (flag, value) by the engine's own names, each with its place;
            the words win where both say something.
        notes: what was assumed in reading it.
        files: texts of files that it mounts (ConfigMaps of the same stream), by path.
        comments: the block's own `# kvplan:` facts are found by place; nothing here.

    """

    format: str
    name: str
    place: Place
    image: Word | None = None
    command: tuple[Word, ...] | None = None
    args: tuple[Word, ...] = ()
    script: Text | None = None
    words: tuple[Word, ...] | None = None
    engine: str | None = None
    version: Given | None = None
    model: Given | None = None
    environment: dict[str, Given] = field(default_factory=dict)
    gpus: Gpus = field(default_factory=Gpus)
    memory: Given | None = None
    shared_memory: Given | None = None
    replicas: Given | None = None
    group: str = ""
    half: str = ""
    sets_parallelism: str = ""
    templated: bool = False
    adds: tuple[tuple[Word, ...], ...] = ()
    notes: tuple[str, ...] = ()
    files: dict[str, Text] = field(default_factory=dict)


def word(node: Node | Text | None) -> Word | None:
    """Return a scalar as a word; None for everything else."""
    if isinstance(node, Text):
        return Word(node.value, place=node)
    if node is None or node.kind != "scalar" or node.is_null:
        return None
    return Word(node.value, place=node.text)


def words(nodes: Sequence[Node]) -> tuple[Word, ...]:
    """Return the scalars among nodes as words."""
    return tuple(each for node in nodes if (each := word(node)) is not None)


def given(node: Node, key: Node | None = None, read: Callable[[str], object] = str) -> Given | None:
    """Return a scalar as a value with its place; None where it is none."""
    value = word(node)
    if value is None:
        return None
    return Given(read(value.text), (Word(key.value, place=key.text), value) if key is not None else (value,))


def flag(name: str, node: Node) -> tuple[Word, ...]:
    """Return a setting that a resource gives by a key as the engine's words for it; none where the key says nothing."""
    value = word(node)
    return () if value is None else (Word(name, place=node.text), value)


def renamed(workload: Workload, name: str) -> Workload:
    """Return it under another name."""
    return replace(workload, name=name)
