"""Scripts of shells: engine commands and `docker run` in bash, zsh, Slurm's batch files, PowerShell and Makefiles."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.workload import Gpus, Workload
from kvplan.errors import SettingError
from kvplan.launch.script import Script, Step
from kvplan.launch.text import Place, Text, join
from kvplan.launch.variables import Variables
from kvplan.launch.words import Given, Word, split

_SUFFIXES = (".sh", ".bash", ".zsh", ".ksh", ".slurm", ".sbatch", ".pbs", ".lsf", ".ps1", ".bat", ".cmd")
_SHEBANG = re.compile(r"#!.*\b(?:ba|z|k|da)?sh\b")
# Words without which no script starts an engine; most scripts hold none of them.
_ENGINES = re.compile(
    r"vllm|sglang|text-generation|tgi|trtllm|tensorrt_llm|llama[-_.]|ollama|lmdeploy|dynamo\.|huggingfaceserver|/nim/|transformers",
    re.IGNORECASE,
)
# Slurm's directives (sbatch --help): GPUs of a node, nodes.
_GPUS = re.compile(
    r"^#SBATCH\s+(?:--gres[= ]gpu(?::(?P<type>[A-Za-z][\w.-]*))?:(?P<gres>\d+)"
    r"|(?:--gpus-per-node|--gpus|-G)[= ](?:(?P<type2>[A-Za-z][\w.-]*):)?(?P<gpus>\d+))",
    re.MULTILINE,
)
_NODES = re.compile(r"^#SBATCH\s+(?:--nodes[= ]|-N\s*)(?P<nodes>\d+)", re.MULTILINE)
_SET = re.compile(
    r"""^[ \t]*(\$(?:env:)?(\w+)[ \t]*=[ \t]*)(?:("[^"\n]*"|'[^'\n]*'|[\d.]+)[ \t]*(?=\r?$)|(?=docker|podman|&))""",
    re.MULTILINE,
)
_UNIT = re.compile(r"^\[(?:Service|Container)\][ \t]*$", re.MULTILINE)
_YAML = re.compile(r"^(?:apiVersion|kind|services):", re.MULTILINE)


def read(file: File) -> Iterator[Workload]:
    """Yield a script, and the scripts and manifests in its here-documents."""
    if not _is_script(file) or not _ENGINES.search(file.source.text):
        return
    text = _plain(file)
    whole = Workload(
        format="shell", name=file.path.name, place=Place(file.source, 0, 0), script=text, gpus=_slurm(text)
    )
    yield whole
    yield from _here_documents(file, text)


def _is_script(file: File) -> bool:
    if file.name.endswith(_SUFFIXES) or file.name in ("makefile", "gnumakefile"):
        return True
    if "." in file.path.name.lstrip(".") and not file.name.endswith((".in", ".template", ".j2", ".tpl", ".txt")):
        return False
    return bool(_SHEBANG.match(file.source.text)) or (file.source.path == "-" and not file.is_yaml)


def _plain(file: File) -> Text:
    """Return the text with PowerShell's and cmd's line ends as a shell writes them; of a Makefile the recipes."""
    text = file.text
    if file.name.endswith(".ps1"):
        return _of_powershell(text.replaced(re.sub(r"`(?=[ \t]*\r?\n)", r"\\", text.value)))
    if file.name.endswith((".bat", ".cmd")):
        return text.replaced(re.sub(r"\^(?=[ \t]*\r?\n)", r"\\", text.value))
    if "makefile" in file.name:
        lines = text.value.splitlines(keepends=True)
        kept = [line.replace("@", " ", 1) if line.startswith("\t") else re.sub(r"[^\r\n]", " ", line) for line in lines]
        return text.replaced("".join(kept))
    return text


def _of_powershell(text: Text) -> Text:
    """Return PowerShell's `$name = "value"` as a shell's assignment, and `$id = docker run ...` without what is before it."""
    parts: list[Text | str] = []
    done = 0
    for match in _SET.finditer(text.value):
        parts.append(text.cut(done, match.start(1)))
        if match[3]:
            parts += [text.cut(match.start(2), match.end(2)), "=", text.cut(match.start(3), match.end(3))]
        done = match.end()
    return join([*parts, text.cut(done)]) if done else text


def _slurm(text: Text) -> Gpus:
    found = _GPUS.search(text.value)
    nodes = _NODES.search(text.value)
    gpus = Gpus()
    if found is not None:
        group = "gres" if found["gres"] else "gpus"
        gpus.count = _number(text, found, group)
        kind = "type" if found["type"] else "type2"
        if found[kind]:
            place = text.cut(found.start(kind), found.end(kind))
            gpus.types = (Given(found[kind], (Word(found[kind], place=place),)),)
    if nodes is not None:
        gpus.nodes = _number(text, nodes, "nodes")
    return gpus


def _number(text: Text, match: re.Match[str], group: str) -> Given:
    place = text.cut(match.start(group), match.end(group))
    return Given(int(match[group][:9]), (Word(match[group], place=place),))


def _is_run(step: Step) -> bool:
    """Whether a here-document is a shell's text: what a shell reads, or what is written into a script; else it is printed."""
    program = step.words[0].text.rpartition("/")[2] if step.words else ""
    if program in ("cat", "tee", "echo"):
        target = step.output or next((word.text for word in step.words[1:] if not word.text.startswith("-")), "")
        return target.endswith(_SUFFIXES) or (bool(target) and "." not in target.rpartition("/")[2])
    return program in ("bash", "sh", "zsh", "ssh", "sbatch", "srun", "sudo", "su", "docker", "kubectl")


def _here_documents(file: File, text: Text) -> Iterator[Workload]:
    """Yield what here-documents start: a shell's text, manifests, or a unit of systemd."""
    from kvplan.deploy.formats import workloads  # noqa: PLC0415  the folder of this very file

    if "<<" not in text.value:
        return
    try:
        steps = list(Script(Variables()).steps(split(text)))
    except SettingError:
        return  # said where the script itself is read
    for step in steps:
        body = step.input.place if step.input is not None else None
        if body is None or not _ENGINES.search(body.value):
            continue
        place = body.place()
        if _UNIT.search(body.value):
            named = [step.output, *(word.text for word in step.words)]
            path = next((each for each in named if each.endswith((".service", ".container"))), "here-document.service")
            yield from workloads(File.of(body, path.rpartition("/")[2]))
        elif _YAML.search(body.value):
            inner = File.of(body, step.output or "here-document.yaml")
            yield from workloads(inner)
        elif place is not None and _is_run(step):
            yield Workload(format="shell", name=f"{file.path.name}, here-document", place=place, script=body)
