"""Programs, modules and scripts that are engines: the launch behind one, with the words of its own."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from kvplan.launch import containers, programs
from kvplan.launch.around import Around, Launch, no_engine
from kvplan.launch.containers import NoEngineError
from kvplan.launch.words import Given, Word


def engine_at(words: Sequence[Word], at: int, name: str, around: Around) -> Launch | None:
    """Return the launch if the word at `at` is an engine's program; None where it is something else."""
    package, _, version = name.partition("@")
    if package == "vllm" or re.fullmatch(r"vllm(\[[\w,]*\])?==?[\d.]+\w*", name):
        version = version or name.partition("=")[2].lstrip("=")
        if version and version != "latest":
            around.version = Given(version, (words[at],))
        return _subcommand(words, at + 1, around)
    if re.fullmatch(r"(?:python|pypy)[\d.]*(?:\.exe)?", name):
        return of_python(words, at + 1, around)
    if re.fullmatch(r"(?:\w+-)*llama-server(?:-\w+)*(?:\.exe)?", name):
        name = "llama-server"  # forks keep the name and put their own before or behind it
    if name in programs.PROGRAMS:
        return _of_program(words, at, name, around)
    if name == "dynamo" and [word.text for word in words[at + 1 : at + 2]] == ["serve"]:
        return _of_graph(words, at, around)
    if name in programs.NO_ENGINE:
        raise NoEngineError(
            f"{name} is {programs.NO_ENGINE[name]}, not an engine.", hint="Paste the command that starts the engine."
        )
    return None


def of_python(words: Sequence[Word], at: int, around: Around) -> Launch | None:
    """Return the launch that Python's own words name, which stand from `at` on; None where they start something else."""
    while at < len(words) and words[at].text.startswith("-") and words[at].text not in ("-m", "-c", "-"):
        at += 2 if words[at].text in ("-X", "-W") else 1
    if at >= len(words):
        return None
    if words[at].text == "-m":
        module = words[at + 1].text if at + 1 < len(words) else ""
        if module in programs.SERVERS:
            return _of_module(
                launched(words[at + 2 :], around, program=Given(f"python -m {module[:80]}", (words[at + 1],)))
            )
        if module in programs.CLI_MODULES:
            return _subcommand(words, at + 2, around)
        if module.startswith("vllm."):
            raise NoEngineError(
                f"The module {module[:80]} serves no model.", hint="Paste the command that does: vllm serve MODEL ..."
            )
        head = module.partition(".")[0]
        if head in programs.NO_ENGINE:
            raise NoEngineError(
                f"{head} is {programs.NO_ENGINE[head]}, not an engine.",
                hint="Paste the command that starts the engine.",
            )
        if (engine := programs.engine_of_module(module)) is not None:
            if (name := programs.PROGRAM_MODULES.get(module.removesuffix(".cli"))) is not None:
                return _of_program(words, at + 1, name, around)
            started = Given(f"python -m {module[:80]}", (words[at + 1],))
            wrapped = module.startswith(programs.WRAPPING_MODULES)
            return replace(_of_module(launched(words[at + 2 :], around, engine, started)), wrapped=wrapped)
        return None
    if (
        words[at]
        .text.replace("\\", "/")
        .endswith(("vllm/entrypoints/openai/api_server.py", "vllm/entrypoints/api_server.py"))
    ):
        return _of_module(launched(words[at + 1 :], around))
    return (
        engine_at(words, at, PurePosixPath(words[at].text).name, around) if words[at].text.endswith("/vllm") else None
    )


def _subcommand(words: Sequence[Word], at: int, around: Around) -> Launch:
    verb = words[at].text if at < len(words) else ""
    if verb != "serve":
        raise NoEngineError(
            f"`vllm {verb[:80]}` serves no model; kvplan plans `vllm serve`."
            if verb
            else "`vllm` alone serves no model.",
            hint="Paste the command that does: vllm serve MODEL ...",
        )
    return launched(words[at + 1 :], around, program=Given("vllm", (words[at - 1],)))


def _of_program(words: Sequence[Word], at: int, name: str, around: Around) -> Launch | None:
    """Return the launch of another engine's program; None where its words only ask it something."""
    engine, verbs = programs.PROGRAMS[name]
    follows = [word.text for word in words[at + 1 : at + 1 + len(verbs)]]
    if verbs and follows != list(verbs):
        verb = follows[0] if follows else ""
        if engine == "lmdeploy" and follows == ["serve", "gradio"]:
            pass
        elif engine == "tensorrt-llm" and verb not in programs.OTHER_VERBS and verb not in ("-h", "--help"):
            verbs = ()  # `trtllm-serve MODEL`
        else:
            raise no_engine(" ".join([name, *follows])[:80])
    found = launched(words[at + 1 + len(verbs) :], around, engine, Given(name, (words[at],)))
    return replace(_of_module(found), wrapped=True) if name in programs.WRAPPING_PROGRAMS else found


def _of_graph(words: Sequence[Word], at: int, around: Around) -> Launch | None:
    """Return the worker of NVIDIA Dynamo's graphs in Python (0.3 and before): `dynamo serve graphs.disagg:VllmWorker`."""
    text = " ".join(word.text for word in words[at + 2 :])[:400].lower()
    image = str(around.image.value).lower() if around.image is not None else ""
    if re.search(r"frontend|planner|router|processor", text):
        return None
    engine = next((engine for part, engine in programs.FRAMEWORKS.items() if part in text or part in image), None)
    if engine is None:
        return None
    found = launched((), around, engine, Given("dynamo serve", (words[at],)))
    return replace(found, wrapped=True, notes=(*found.notes, "the graph's own configuration says the rest"))


_ONLY_ASKED = frozenset({"--version", "-v", "-V", "--help", "-h", "--list-devices", "--help-all", "--help=all"})


def launched(words: Sequence[Word], around: Around, engine: str = "vllm", program: Given | None = None) -> Launch:
    """Return the launch of an engine with these words.

    Raises:
        NoEngineError: they only ask it for its version or its flags.

    """
    if words and all(word.text in _ONLY_ASKED for word in words):
        raise no_engine(" ".join([engine, *(word.text for word in words)])[:80])
    return Launch(
        engine=engine,
        words=tuple(words),
        program=program or around.image or Given("vllm", tuple(words[:1])),
        device=around.device,
        environment=around.environment,
        version=around.version,
        image=around.image,
        gpus=around.gpus,
        files=around.files,
        notes=around.notes,
    )


def _of_module(launch: Launch) -> Launch:
    """Return the launch of a module, which takes no model as a word of its own."""
    return replace(launch, subcommand=False)


def engine_within(words: Sequence[Word], at: int) -> int | None:
    """Return where an engine starts behind programs that are not known."""
    for index in range(at, len(words)):
        text = words[index].text
        follows = words[index + 1].text if index + 1 < len(words) else ""
        name = PurePosixPath(text).name
        if name == "vllm" and follows == "serve":
            return index
        if (
            name in programs.PROGRAMS
            and name not in ("transformers", "ollama", "sglang", "lmdeploy")
            and (follows.startswith("-") or name.startswith("trtllm"))
        ):
            return index
        if name in ("sglang", "lmdeploy", "ollama") and follows == "serve":
            return index
        if name in programs.SHELLS and follows.startswith("-") and "c" in follows:
            return index
        if re.fullmatch(r"(?:.*/)?python[\d.]*", text) and follows == "-m":
            return index
        if PurePosixPath(text).name in containers.PROGRAMS and follows in ("run", "container"):
            return index
    return None
