"""What stands before an engine: variables, sudo, numactl, uv, a shell's -c, docker run. Peeled off until the engine is reached."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from kvplan.errors import KvplanError, SettingError, UnknownEngineError
from kvplan.launch import containers, programs
from kvplan.launch.around import Around, Launch, no_engine
from kvplan.launch.containers import NoEngineError
from kvplan.launch.images import Image, read_image
from kvplan.launch.script import Script
from kvplan.launch.started import engine_at, engine_within, launched, of_python
from kvplan.launch.text import MASK, Text
from kvplan.launch.variables import Variables
from kvplan.launch.words import Given, Word, split

__all__ = ["Launch", "NoEngineError", "find_in_image", "find_launch", "find_launches"]

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)

_DEEPEST = 8


def find_launch(
    words: Sequence[Word], read_file: Callable[[str], str | Text], environment: dict[str, Given] | None = None
) -> Launch:
    """Return the one engine that the words start, which has to be one whose commands are read.

    Args:
        words: as a shell splits them, operators included.
        read_file: returns the text of a file that the command names (`--env-file`).
        environment: variables that are set around the command.

    Raises:
        SettingError: no engine, more than one, or a part that cannot be read.
        UnknownEngineError: an engine that is not built.

    """
    found, errors = find_launches(words, read_file, environment)
    read = [launch for launch in found if launch.engine == "vllm" and launch.device is None]
    if len(read) == 1:
        return read[0]
    if read:
        raise SettingError(
            f"The command starts {len(read)} engines; one was expected.", hint="Paste the command of one."
        )
    for launch in found:
        if launch.device is not None and launch.engine == "vllm":
            raise SettingError(
                f"{launch.program.value} is vLLM for {launch.device.upper()}; kvplan plans vLLM on GPUs.",
                hint="Its memory follows other rules there.",
            )
        raise _other_engine(launch.engine, str(launch.program.value))
    if errors:
        raise next((error for error in errors if not isinstance(error, NoEngineError)), errors[0])
    raise no_engine("")


def find_launches(
    words: Sequence[Word], read_file: Callable[[str], str | Text], environment: dict[str, Given] | None = None
) -> tuple[list[Launch], list[KvplanError]]:
    """Return every engine that the words start, and why others of their commands start none.

    Args:
        words: as a shell splits them, operators included.
        read_file: returns the text of a file that the words name.
        environment: variables that are set around them.

    Raises:
        SettingError: variables that hold each other without end.

    """
    return _in_script(words, Around(environment=dict(environment or {})), read_file)


def find_in_image(
    image: Word | None,
    command: Sequence[Word] | None,
    args: Sequence[Word],
    environment: dict[str, Given],
    read_file: Callable[[str], str | Text],
) -> tuple[list[Launch], list[KvplanError]]:
    """Return the engines that a container starts: `command` in place of its image's entry point, `args` behind it."""
    around = Around(environment=dict(environment), image=None if image is None else Given(image.text, (image,)))
    try:
        if image is not None:
            return _image(image, args, command, around, read_file), []
        if not command and args and (engine := programs.engine_of_flags(args)):
            if not args[0].text.startswith("-"):
                # A whole command, most likely; only flags are an image's that is not known.
                with suppress(NoEngineError):
                    return _peel(args, around, read_file), []
            return [launched(args, around, engine, Given(engine, (args[0],)))], []
        return _peel([*(command or ()), *args], around, read_file), []
    except (SettingError, UnknownEngineError) as error:
        return [], [error]


def _in_script(
    words: Sequence[Word],
    around: Around,
    read_file: Callable[[str], str | Text],
    arguments: Sequence[Word] | None = None,
    name: Word | None = None,
) -> tuple[list[Launch], list[KvplanError]]:
    """Return the launches among the commands of a shell text; settings of variables hold for those after them."""
    found: list[Launch] = []
    errors: list[KvplanError] = []
    pulled: Given | None = None
    # Each nested text counts its own characters; what surrounds it is bounded already.
    variables = Variables(
        values=dict(around.environment), arguments=None if arguments is None else list(arguments), script=name
    )
    script = Script(variables, dict(around.files))
    for step in script.steps(words):
        if not step.words or step.words[0].text in programs.PASSED:
            continue
        if step.words[0].text == "ollama" and len(step.words) > 2 and step.words[1].text in ("pull", "run"):
            pulled = Given(step.words[2].text, (step.words[2],))
        inner = replace(around, environment=dict(step.variables.values), files=script.files, input=step.script)
        try:
            launches = _peel(step.words, inner, read_file)
        except (SettingError, UnknownEngineError) as error:
            errors.append(error)
            continue
        found += [replace(launch, conditional=launch.conditional or step.conditional) for launch in launches]
    return [_with_pulled(launch, pulled) for launch in found], errors


def _with_pulled(launch: Launch, model: Given | None) -> Launch:
    """Return a launch of Ollama with the model that the same text has it load."""
    if launch.engine != "ollama" or model is None:
        return launch
    return replace(launch, model=model)


def _assignments(words: Sequence[Word]) -> dict[str, Given]:
    return {
        name: Given(value, (word,))
        for word in words
        if _ASSIGNMENT.match(word.text)
        for name, _, value in [word.text.partition("=")]
    }


def _peel(words: Sequence[Word], around: Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    """Return what a command starts: one engine, or those in a shell's text.

    Raises:
        NoEngineError: none.
        SettingError: a part of it cannot be read.

    """
    at, outer = 0, ""
    while at < len(words):
        word = words[at]
        name = PurePosixPath(word.text.replace("\\", "/")).name or word.text
        if _ASSIGNMENT.match(word.text):
            around.environment.update(_assignments([word]))
            at += 1
        elif at == 0 and word.text in ("$", "#", "%", ">", ">>>"):
            at += 1
        elif name in programs.WRAPPERS:
            if name == "command" and at + 1 < len(words) and words[at + 1].text in ("-v", "-V"):
                raise no_engine(f"{name} {words[at + 1].text}")
            if name == "env" and at + 1 < len(words) and words[at + 1].text in ("-i", "-", "--ignore-environment"):
                around.environment = {}
            takes, own = programs.WRAPPERS[name]
            at = _after_flags(words, at + 1, takes) + own
        elif name in programs.RUNNERS:
            at = _after_runner(words, at, name, around)
        elif name == "uvx":
            at = _after_flags(words, at + 1, frozenset(programs.UVX.split()), around)
        elif name in programs.SHELLS:
            return _in_shell(words[at + 1 :], name, around, read_file)
        elif name in containers.PROGRAMS:
            return _in_container(words[at + 1 :], around, read_file)
        elif name in containers.APPTAINERS and (held := containers.read_apptainer(words[at + 1 :])) is not None:
            verb, box = held
            around = replace(
                _one_deeper(around),
                environment=around.environment | box.environment,
                image=Given(box.image.text, (box.image,)),
            )
            return _image(box.image, box.rest, [] if verb == "exec" else None, around, read_file)
        elif (launch := engine_at(words, at, name, around)) is not None:
            return [launch]
        elif name in programs.STARTS_NOTHING:
            raise no_engine(word.text[:80])
        elif re.match(r"\$\{?\w+\}?$", word.text) or (MASK in name and not name.strip(MASK)):
            return _of_variable(words, at, around, read_file)
        elif name in programs.TAKES_A_TEXT and (text := _shell_text(words, at + 1) or around.input) is not None:
            return _nested(text, around, read_file)
        elif name.endswith(".sh") and (text := _script(word, read_file)) is not None:
            return _nested(text, around, read_file, words[at + 1 :], word)
        else:
            # Programs that are not known may still start the engine that their words name.
            start = engine_within(words, at + 1)
            if start is None and (launch := _of_function(words, at, name, around)) is not None:
                return [launch]
            if start is None:
                raise no_engine(outer or word.text[:80])
            passed = " ".join(each.text for each in words[at:start])[:80]
            around.notes += (f"{passed!r} before the engine is passed over",)
            outer, at = word.text[:80], start
    raise no_engine(outer or (words[-1].text[:80] if words else ""))


def _after_flags(words: Sequence[Word], at: int, takes: frozenset[str], around: Around | None = None) -> int:
    """Return where the first word stands that is neither a flag nor a flag's value."""
    while at < len(words) and words[at].text.startswith("-") and words[at].text != "-":
        text = words[at].text
        at += 1
        if text == "--":
            return at
        name, equals, value = text.partition("=")
        if name in takes and not equals and at < len(words):
            value = words[at].text
            at += 1
        if around is not None and name in ("--from", "--with"):
            match = re.search(r"\bvllm(?:\[[\w,]*\])?==?([\d.]+\w*)", value)
            if match:
                around.version = Given(match[1], (words[at - 1],))
    return at


def _after_runner(words: Sequence[Word], at: int, name: str, around: Around) -> int:
    """Return where the program stands that `uv run`, `conda run` and the like start."""
    takes = frozenset(programs.RUNNERS[name].split())
    at = _after_flags(words, at + 1, takes, around)
    verb = words[at].text if at < len(words) else ""
    if name == "uv" and verb == "tool":
        return _after_flags(words, at + 2, frozenset(programs.UVX.split()), around)
    if verb not in ("run", "exec"):
        raise no_engine(f"{name} {verb}".strip())
    return _after_flags(words, at + 1, takes, around)


def _in_shell(words: Sequence[Word], name: str, around: Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    """Return the launches in the text after a shell's -c, in the lines that it reads, or in a script."""
    at, letters = 0, ""
    while at < len(words) and words[at].text.startswith(("-", "+")):
        flag = words[at].text
        at += 1
        if flag.startswith("-") and not flag.startswith("--"):
            letters += flag[1:]
        # `-o pipefail`; `-eo pipefail -c` too.
        if (flag[0] in "-+" and flag[1:2] != "-" and flag.endswith(("o", "O"))) or flag in ("--rcfile", "--init-file"):
            at += 1
        if flag == "--":
            break
    if "c" in letters:
        if at >= len(words):
            raise no_engine(f"{name} -c")
        # The word behind the text is its `$0`, those after it are `$1`, `$2` ...
        return _nested(words[at], around, read_file, words[at + 2 :], next(iter(words[at + 1 :]), None))
    if around.input is not None and (at >= len(words) or "s" in letters):
        return _nested(around.input, around, read_file, words[at:])
    if at < len(words) and (text := _script(words[at], read_file)) is not None:
        return _nested(text, around, read_file, words[at + 1 :], words[at])
    # A script that is not here; scripts of entry points run the words that they are given.
    start = engine_within(words, at + 1)
    if start is None:
        raise no_engine(f"{name} {words[at].text}"[:80] if at < len(words) else name)
    around.notes += (f"{words[at].text[:80]!r} is taken to run the words after it",)
    return _peel(words[start:], around, read_file)


def _script(named: Word, read_file: Callable[[str], str | Text]) -> Word | None:
    """Return the text of a script that is named; None where it cannot be read.

    Inside a deployment file it is one that the same file holds (a ConfigMap that is mounted): others are read for themselves.
    """
    if re.search(r"[\s$`*]", named.text):
        return None
    try:
        text = read_file(named.text)
    except SettingError:
        return None
    if isinstance(text, str):
        return Word(text, origin=named.text)
    here, there = None if named.place is None else named.place.place(), text.place()
    same = here is not None and there is not None and here.source.path == there.source.path
    return Word(text.value, place=text) if same else None


def _shell_text(words: Sequence[Word], at: int) -> Word | None:
    """Return the word that holds a shell's text, where a program takes one (`tmux new -d 'vllm serve ...'`)."""
    return next((word for word in words[at:] if re.search(r"\s", word.text) and _LAUNCHES.search(word.text)), None)


_LAUNCHES = re.compile(r"serve|launch|server|docker|podman|python|ollama")


def _nested(
    outer: Word,
    around: Around,
    read_file: Callable[[str], str | Text],
    arguments: Sequence[Word] | None = None,
    name: Word | None = None,
) -> list[Launch]:
    around = replace(_one_deeper(around), input=None)
    inner = [replace(word, start=-1, end=-1, origin=outer.origin) for word in split(outer.place or outer.text)]
    found, errors = _in_script(inner, around, read_file, arguments, name)
    if not found:
        raise next(
            (error for error in errors if not isinstance(error, NoEngineError)), errors[0] if errors else no_engine("")
        )
    return found


def _one_deeper(around: Around) -> Around:
    if around.depth >= _DEEPEST:
        raise SettingError(
            f"The command nests more than {_DEEPEST} shells and containers.", hint="Paste what the innermost one runs."
        )
    return replace(around, depth=around.depth + 1)


def _in_container(words: Sequence[Word], around: Around, read_file: Callable[[str], str | Text]) -> list[Launch]:
    around = _one_deeper(around)
    inner = containers.inside_running(words)
    if inner is not None:
        return _peel(inner, replace(around, environment={}), read_file)
    found = containers.read_container(words, read_file)
    around.notes += tuple(found.notes)
    # Variables of the host do not reach the container.
    inside = replace(
        around, environment=found.environment, gpus=found.gpus, image=Given(found.image.text, (found.image,))
    )
    entrypoint = found.entrypoint
    program = None
    if entrypoint is not None:
        value = Word(entrypoint.value, origin="--entrypoint", place=entrypoint.words[-1].place)
        program = [value] if entrypoint.value else []
    return _image(found.image, found.rest, program, inside, read_file)


def _image(
    image: Word,
    words: Sequence[Word],
    entrypoint: Sequence[Word] | None,
    around: Around,
    read_file: Callable[[str], str | Text],
) -> list[Launch]:
    """Return what an image starts: the entry point that is given, else its own, with the words after it."""
    named = read_image(image.text)
    if named.device is not None:
        around.device = named.device
    if named.version is not None:
        around.version = Given(named.version, (image,))
    if entrypoint is not None:
        return _peel_in(named, [*entrypoint, *words], around, read_file)
    first = words[0].text if words else ""
    first = first if first.startswith("-") else PurePosixPath(first).name
    starts_itself = (
        first in programs.SHELLS
        or first in ("vllm", "sglang", *programs.PROGRAMS)
        or first.startswith("python")
        or first in programs.WRAPPERS
    )
    # A variable alone holds flags where the image starts the engine itself.
    flags_follow = not first or first.startswith("-") or (named.starts_engine and first.startswith("$"))
    # vLLM alone takes a word of its own, the model.
    own = named.starts_engine and (flags_follow or named.engine == "vllm" or first == "serve")
    engine = named.engine if own or flags_follow else None
    if engine is None and named.engine is None and not starts_itself and (engine := programs.engine_of_flags(words)):
        around.notes += (f"{image.text} is taken to start {engine}: its flags are",)
    if engine is None or starts_itself:
        if not words:
            raise NoEngineError(
                f"What the image {image.text[:80]} starts is not known, and nothing stands after it.",
                hint="Add the command that runs in it: ... IMAGE vllm serve MODEL ...",
            )
        if named.starts_engine and starts_itself and named.engine == "vllm":
            around.notes += (f"{image.text} starts vLLM itself: {first!r} after it needs an --entrypoint",)
        return _peel_in(named, words, around, read_file)
    if not named.starts_engine and not around.notes:
        if not words and named.engine not in programs.BY_ENVIRONMENT and not _told_by_variables(named, around):
            raise NoEngineError(
                f"What the image {image.text[:80]} starts is not known, and nothing stands after it.",
                hint="Add the command that runs in it: ... IMAGE vllm serve MODEL ...",
            )
        around.notes += (f"{image.text} is taken to start {programs.TITLES.get(engine, engine)} itself",)
    return [
        launched(_behind_subcommand(engine, words), around, engine, Given(f"The image {image.text[:80]}", (image,)))
    ]


def _peel_in(
    image: Image, words: Sequence[Word], around: Around, read_file: Callable[[str], str | Text]
) -> list[Launch]:
    """Return what words start in an image; a script that is not here and is called so is taken to serve."""
    try:
        return _peel(words, around, read_file)
    except NoEngineError:
        # `bash SCRIPT`, or a text that runs one in the end.
        named = [(word, match[0]) for word in words for match in _SCRIPTS.finditer(word.text[:2000])]
        script, path = named[-1] if named else (Word(""), "")
        name = PurePosixPath(path).name
        serves = _SERVING.search(name) and not _OTHER_SCRIPTS.search(name)
        if image.engine is None or not serves or _script(replace(script, text=path), read_file) is not None:
            raise
        title = programs.TITLES.get(image.engine, image.engine)
        around.notes += (f"{path[:80]} is not here: it is taken to start {title}",)
        found = launched((), around, image.engine, Given(path[:80], (script,)))
        return [replace(found, wrapped=True, subcommand=False)]


_SCRIPTS = re.compile(r"[\w./-]+\.sh(?![\w.])", re.ASCII)
_SERVING = re.compile(r"serv|start|run|launch|entry|vllm|sglang|ollama|llama|tgi|trt|prefill|decode")
_OTHER_SCRIPTS = re.compile(
    r"bench|down|load|test|warm|eval|pull|client|train|convert|init|setup|build|install|check|health|ray|cluster|node"
)
_ITSELF = re.compile(r"(?:^|/)(?:vllm|sglang|lmdeploy|llama\.cpp|llama-cpp)(?:[:@]|$)")
_MODEL = re.compile(r"(?:^|_)MODEL(?:_(?:ID|NAME|PATH|REPO|URL))?$")


def _told_by_variables(image: Image, around: Around) -> bool:
    """Whether a container's variables are its engine's flags: SageMaker's, DJL's, RunPod's worker's."""
    if any(name.startswith(programs.FLAG_VARIABLES) for name in around.environment):
        return True
    # An image that is called as the engine, and a start script in it that asks for the model.
    itself = _ITSELF.search(image.name) is not None and any(_MODEL.search(name) for name in around.environment)
    return itself or ("worker" in image.name and "MODEL_NAME" in around.environment)


def _behind_subcommand(engine: str, words: Sequence[Word]) -> Sequence[Word]:
    """Return the words of an engine's flags behind its own word for serving (`ollama serve`)."""
    return words[1:] if words and words[0].text == "serve" and engine != "vllm" else words


def _of_function(words: Sequence[Word], at: int, name: str, around: Around) -> Launch | None:
    """Return what a function or script of one's own starts, if its name says which engine and that one's flags follow."""
    engine = programs.engine_of_flags(words[at + 1 :])
    plain = re.sub(r"[\W_]", "", name.lower())
    if engine is None or re.sub(r"\W", "", engine).replace("llamacpp", "llama") not in plain or "bench" in plain:
        return None
    around.notes += (f"{name[:80]!r} is taken to start {engine}: its flags follow",)
    return replace(
        launched(words[at + 1 :], around, engine, Given(name[:80], (words[at],))), subcommand=engine == "vllm"
    )


# Engines whose program serves by a word of its own, in the names of variables that hold it.
_CALLED = (("ollama", "ollama"), ("vllm", "vllm"), ("sglang", "sglang"), ("trtllm", "tensorrt-llm"))


def _of_variable(
    words: Sequence[Word], at: int, around: Around, read_file: Callable[[str], str | Text]
) -> list[Launch]:
    """Return what a program starts that a variable names: a container's if `run` follows, else the engine whose flags follow."""
    if at + 1 < len(words) and words[at + 1].text in ("run", "exec"):
        return _in_container(words[at + 1 :], around, read_file)
    if at + 1 < len(words) and words[at + 1].text == "-m" and (launch := of_python(words, at + 1, around)) is not None:
        return [launch]
    engine = programs.engine_of_flags(words[at + 1 :])
    if engine is None and at + 1 < len(words) and words[at + 1].text == "serve":
        engine = next((engine for part, engine in _CALLED if part in words[at].text.lower()), None)
    start = engine_within(words, at + 1) if engine is None else None
    if start is not None:
        return _peel(words[start:], around, read_file)
    if engine is None:
        raise no_engine(words[at].text[:80])
    around.notes += (f"{words[at].text} is taken to be {engine}: its flags follow",)
    subcommand = at + 1 < len(words) and words[at + 1].text == "serve"
    first = at + 2 if subcommand else at + 1
    return [replace(launched(words[first:], around, engine, Given(engine, (words[at],))), subcommand=engine == "vllm")]


def _other_engine(engine: str, what: str) -> UnknownEngineError:
    from kvplan.engines import built  # noqa: PLC0415  on the way to an error

    return UnknownEngineError(
        f"The command starts {engine} ({what}); kvplan reads commands of vLLM.",
        hint=f"Engines that can be planned with --engine and --engine-arg: {', '.join(built())}.",
    )
