"""`docker run` and its kin: flags of the container up to the image, the engine's words after it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kvplan.errors import SettingError
from kvplan.launch.images import read_image
from kvplan.launch.text import MASK, Text
from kvplan.launch.words import Given, Word

PROGRAMS = frozenset({"docker", "podman", "nerdctl", "nvidia-docker", "docker.exe", "finch"})
# Flags that take no value; every other one takes one (docker 28 `docker run --help`, podman 5).
_BARE = {
    "--detach", "--init", "--interactive", "--tty", "--rm", "--privileged", "--publish-all", "--read-only",
    "--no-healthcheck", "--sig-proxy", "--oom-kill-disable", "--disable-content-trust", "--quiet", "--help",
    "--use-api-socket", "--replace", "--rmi", "--no-hosts", "--rootless", "--no-hostname", "--tls-verify",
    "--env-host", "--http-proxy", "--passwd", "--rootfs", "--read-only-tmpfs",
}  # fmt: skip
_BARE_LETTERS = frozenset("ditPqT")
_BEFORE_RUN = frozenset(["--debug", "-D", "--tls", "--tlsverify", "--remote", "-r", "--debug-full"])
_FILES = 1_000_000


@dataclass(slots=True, kw_only=True)
class Container:
    """What the flags of a container say, and where its image stands.

    Attributes:
        image: the image's word.
        rest: the words after it.
        environment: of the container; a name without a value is taken from outside and not known here.
        gpus: how many it is given; None where it is all, or not said.
        entrypoint: that is put in place of the image's own.
        notes: what of it is not known.

    """

    image: Word
    rest: tuple[Word, ...]
    environment: dict[str, Given] = field(default_factory=dict)
    gpus: Given | None = None
    entrypoint: Given | None = None
    notes: list[str] = field(default_factory=list)


class NoEngineError(SettingError):
    """A command that starts no engine."""


def read_container(words: Sequence[Word], read_file: Callable[[str], str | Text]) -> Container:
    """Return what stands after `docker`: `run [flags] IMAGE [words]`.

    Raises:
        SettingError: another command than `run`, a flag without its value, no image.

    """
    at = _verb(words)
    verb = words[at].text if at < len(words) else ""
    if verb not in ("run", "create"):
        raise NoEngineError(
            f"{verb[:40] or 'This container command'!r} starts no engine that kvplan can read.",
            hint="Paste the `docker run ...` command itself, or what runs in the container (`vllm serve ...`).",
        )
    found = Container(image=Word(""), rest=())
    devices: list[Word] = []
    at += 1
    while at < len(words):
        word = words[at]
        if _holds_flags(words, at):
            at += 1
            continue
        if not word.text.startswith("-") or word.text == "-":
            found.image, found.rest = word, tuple(words[at + 1 :])
            if devices and found.gpus is None:
                found.gpus = _named_devices(devices)
            return found
        name, value, at = _flag(words, at)
        if value is not None:
            _take(found, name, value, word, devices, read_file)
    raise SettingError(
        "The container command names no image.", hint="For example: docker run ... vllm/vllm-openai:v0.11.0 ..."
    )


def _verb(words: Sequence[Word]) -> int:
    """Return where `run`, `exec` and the like stand: behind flags, and `container`."""
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        at += 1 if words[at].text in _BEFORE_RUN or "=" in words[at].text else 2
    return at + 1 if at < len(words) and words[at].text == "container" else at


def _holds_flags(words: Sequence[Word], at: int) -> bool:
    """Whether a variable among the flags stands for more of them (`docker run $GPU_FLAGS vllm/vllm-openai ...`): no image does."""
    return re.fullmatch(rf"\$\{{?[\w@*\[\]]+\}}?|{MASK}+", words[at].text) is not None and any(
        ("/" in word.text or ":" in word.text) and read_image(word.text).engine is not None
        for word in words[at + 1 : at + 60]
        if not word.text.startswith(("-", "/", "."))
    )


def inside_running(words: Sequence[Word]) -> Sequence[Word] | None:
    """Return the words that `exec [flags] CONTAINER` runs in a container that is there; None for another command."""
    at = _verb(words)
    if at >= len(words) or words[at].text != "exec":
        return None
    at += 1
    while at < len(words) and words[at].text.startswith("-"):
        _, _, at = _flag(words, at)
    return words[at + 1 :]


def _flag(words: Sequence[Word], at: int) -> tuple[str, Word | None, int]:
    """Return a flag's name, its value's word, and where the next one stands."""
    word = words[at]
    text = word.text
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        if equals:
            return (
                name,
                None if name in _BARE else _end_of(word, value),
                at + 1,
            )
        if name in _BARE:
            return name, None, at + 1
    else:
        letters = text[1:]
        bare = len(letters) - len(letters.lstrip("".join(_BARE_LETTERS)))
        if bare == len(letters):
            return text, None, at + 1
        name, value = f"-{letters[bare]}", letters[bare + 1 :]
        if value:
            return name, _end_of(word, value.removeprefix("=")), at + 1
    if at + 1 >= len(words):
        raise SettingError(f"The container's flag {name} has no value.", hint="Give it one, or leave it out.")
    return name, words[at + 1], at + 2


def _end_of(word: Word, value: str) -> Word:
    """Return the value at the end of a flag's word."""
    place = None if word.place is None else word.place.cut(len(word.text) - len(value))
    return Word(value, word.start, word.end, word.origin, place=place)


def _take(
    found: Container, name: str, value: Word, word: Word, devices: list[Word], read_file: Callable[[str], str | Text]
) -> None:
    words = (word,) if 0 <= word.start == value.start else (word, value)
    if name in ("-e", "--env"):
        variable, equals, text = value.text.partition("=")
        if equals:
            found.environment[variable] = Given(text, words)
    elif name == "--env-file":
        try:
            content = read_file(value.text)
        except SettingError as error:
            found.notes.append(f"the variables of {value.text[:80]} are not known: {error.message}")
            return
        for variable, text in env_file(content).items():
            found.environment.setdefault(variable, Given(text, (Word(f"{variable}={text}", origin=value.text),)))
    elif name == "--gpus":
        found.gpus = gpus_given(value.text, words)
    elif name == "--device" and "/gpu=" in value.text:
        devices.append(value)
    elif name == "--entrypoint":
        found.entrypoint = Given(value.text, words)


# Flags of apptainer and singularity that take a value (apptainer run --help).
_APPTAINER_TAKES = frozenset({
    "--bind", "-B", "--env", "--env-file", "--pwd", "--cwd", "-W", "--home", "-H", "--overlay", "-o", "--workdir", "--scratch",
    "-S",
    "--app", "--network", "--network-args", "--security", "--mount", "--hostname", "--dns", "--add-caps", "--drop-caps",
    "--fusemount",
})  # fmt: skip
APPTAINERS = frozenset({"apptainer", "singularity", "singularity-ce"})


def read_apptainer(words: Sequence[Word]) -> tuple[str, Container] | None:
    """Return the verb (`run`, `exec`, `instance`) and the container behind apptainer; None for another command.

    Its containers see the variables around them.
    """
    at = 0
    while at < len(words) and words[at].text.startswith("-"):
        at += 1
    verb = words[at].text if at < len(words) else ""
    if verb not in ("run", "exec"):
        return None
    found = Container(image=Word(""), rest=())
    at += 1
    while at < len(words) and words[at].text.startswith("-"):
        name, equals, value = words[at].text.partition("=")
        own = words[at]
        follows = words[at + 1].text if at + 1 < len(words) else ""
        # An image where a value should stand: the value is a variable that is left to be filled in.
        if name in _APPTAINER_TAKES and not equals and not follows.endswith((".sif", ".simg")):
            at += 1
            value = words[at].text if at < len(words) else ""
        if name == "--env":
            for pair in value.split(","):
                key, is_set, text = pair.partition("=")
                if is_set:
                    found.environment[key] = Given(text, (own,))
        at += 1
    if at >= len(words):
        return None
    found.image, found.rest = words[at], tuple(words[at + 1 :])
    return verb, found


def env_file(given: str | Text) -> dict[str, str]:
    """Return the variables of an env file, as docker reads it: no quotes, no expansion, comments on lines of their own."""
    found: dict[str, str] = {}
    text = given if isinstance(given, str) else given.value
    for line in text[:_FILES].splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name and not name.startswith("#"):
            found[name.strip()] = value
    return found


def gpus_given(text: str, words: tuple[Word, ...] = ()) -> Given | None:
    """Return how many GPUs `--gpus` gives: `all`, `2`, `device=0,1`, `"device=0,1"`, `count=2,capabilities=gpu`; None: all.

    Raises:
        SettingError: it is none of these.

    """
    plain = text.strip().strip("\"'")
    if "$" in plain or MASK in plain:
        return None  # what it stands for is not known here
    if plain.isdecimal() and len(plain) < 5:
        return Given(int(plain), words)
    match = re.fullmatch(r"(?:.*,)?\"?(?P<key>device|count)=(?P<value>[^\"]*?)\"?(?:,[a-z]+=.*)?", plain)
    if match and match["key"] == "device":
        return Given(len([part for part in match["value"].split(",") if part and "=" not in part]), words)
    if match and match["value"].isdecimal() and len(match["value"]) < 5:
        return Given(int(match["value"]), words)
    if plain == "all" or plain.startswith("all,") or (match and match["value"] in ("all", "-1")):
        return None
    raise SettingError(
        f"--gpus {text[:60]!r} of the container cannot be meant.", hint="""Write it as all, 2 or '"device=0,1"'."""
    )


def _named_devices(devices: list[Word]) -> Given | None:
    names = [word.text.partition("=")[2] for word in devices]
    return None if "all" in names else Given(len(names), tuple(devices))
