"""An engine's launch, and what was read on the way to it."""

from dataclasses import dataclass, field

from kvplan.errors import SettingError
from kvplan.launch.containers import NoEngineError
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word


@dataclass(slots=True, kw_only=True)
class Launch:
    """An engine's own words, and what was said around them.

    Attributes:
        engine: by the contract's name.
        words: the engine's flags and positional words.
        program: what starts it, in words, and where that stands.
        environment: variables that the engine sees, as far as the command says.
        version: of the engine, where an image or a package's version tells.
        image: that it runs in.
        gpus: how many GPUs the container is given; None: all, or not said.
        subcommand: whether the words follow `vllm serve` (which takes the model as a word of its own).
        device: what the image is for, where that is no GPU (`cpu`, `tpu`).
        wrapped: whether another program runs the engine in itself, and takes flags of its own beside the engine's.
        conditional: whether it stands in a branch that its text does not settle.
        model: where another command of the same text names it (`ollama pull`).
        files: that the same text writes (here-documents), by their paths.
        notes: what was passed over.

    """

    engine: str
    words: tuple[Word, ...]
    program: Given = field(default_factory=lambda: Given(""))
    environment: dict[str, Given] = field(default_factory=dict)
    version: Given | None = None
    image: Given | None = None
    gpus: Given | None = None
    subcommand: bool = True
    device: str | None = None
    wrapped: bool = False
    conditional: bool = False
    model: Given | None = None
    files: dict[str, Text] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Around:
    """What was read on the way to the engine."""

    environment: dict[str, Given]
    version: Given | None = None
    image: Given | None = None
    gpus: Given | None = None
    device: str | None = None
    files: dict[str, Text] = field(default_factory=dict)
    # Lines that the command reads.
    input: Word | None = None
    notes: tuple[str, ...] = ()
    depth: int = 0


def no_engine(program: str) -> SettingError:
    """Return the error for a command that starts no engine."""
    what = (
        f"{program!r} is no program that kvplan knows to start an engine"
        if program
        else "The command after -- is empty"
    )
    return NoEngineError(
        f"{what}.",
        hint="Paste one that does: vllm serve MODEL ..., docker run ... vllm/vllm-openai:v0.11.0 --model MODEL ...",
    )
