"""Write kvplan/engines/ENGINE/flags.json: which flags an engine's server takes, what follows each, and which are gone.

    python tools/extract_engine_flags.py ENGINE FOLDER [SOURCE VERSIONS]

FOLDER holds one folder a release, named as the release (`0.5.23`), with the files of READERS at their paths in the engine's
repository; the newest is the table, the older ones tell what is gone. Nothing of them is run. `source`, `versions` and what is
not in the sources in one place (`inputs`, `positional`, `yaml`, `fixed`, `means`, `by_hand`, `told`: a flag's end) stay as they
stand in the file. Defaults are those that the source writes out, of the flags that `inputs` names.

`takes`: `none`; `one`; `maybe` (one or none); `many` (one or more); `each` (one, and each use adds one). `negates` is the flag
that the flag switches off; `env` the variable that is read where the flag is not given; `was` what followed before a release.
"""

import ast
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ENGINES = Path(__file__).resolve().parents[1] / "kvplan" / "engines"
Flags = dict[str, dict[str, Any]]
STRING = r'"([^"\\]*)"'


def files(folder: Path, *patterns: str) -> Iterator[Path]:
    """Yield the files of a release that match, each pattern's sorted."""
    for pattern in patterns:
        yield from sorted(folder.glob(pattern))


def literal(node: ast.expr | None) -> Any:
    """Return the value of a constant, and None for all that is computed."""
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def add(flags: Flags, names: list[str], takes: str, **facts: Any) -> None:
    """Note a flag under its first long name; a name that is taken already stays with the flag that took it."""
    taken = {name for main, entry in flags.items() for name in (main, *entry["aliases"])}
    names = [name for name in dict.fromkeys(names) if name.startswith("-") and name not in taken]
    if not names:
        return
    main = next((name for name in names if name.startswith("--")), names[0])
    entry = {"aliases": [name for name in names if name != main], "takes": takes}
    flags[main] = entry | {key: value for key, value in facts.items() if value is not None}


# -- argparse: SGLang, LMDeploy ----------------------------------------------------------------------------------------------


def argparse_call(flags: Flags, call: ast.Call) -> None:
    """Note a call of `add_argument`."""
    words = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    names = [value for arg in call.args if isinstance(value := literal(arg), str)]
    action = ast.unparse(words["action"]).strip("'\"").split(".")[-1] if "action" in words else ""
    takes = {"?": "maybe", "+": "many", "*": "many", 0: "none"}.get(literal(words.get("nargs")), "one")
    if action in ("store_true", "store_false", "store_const", "help", "version", "BooleanOptionalAction"):
        takes = "none"
    elif action == "append":
        takes = "each"
    elif re.match(r"Deprecated(Store(True|Const))?Action", action) and "nargs" not in words:
        takes = "none"
    said = " ".join(ast.unparse(word) for name, word in words.items() if name in ("new_flag", "error_message", "help"))
    instead = re.search(r"(?i)(?:use |instead.*?|^')(--[a-z][\w-]+)", said) if action.startswith("Deprecated") else None
    other = instead.group(1) if instead and instead.group(1) not in names else None
    add(flags, names, takes, default=literal(words.get("default")), instead=other)
    if action == "BooleanOptionalAction":
        off = [name.replace("--", "--no-", 1) for name in names if name.startswith("--")]
        add(flags, off, "none", negates=names[0])


def annotated_field(flags: Flags, node: ast.AnnAssign) -> None:
    """Note a field `name: A[type, "help" or Arg(...)] = default`, as `add_cli_args_from_dataclass` would."""
    mark = node.annotation
    if not (isinstance(mark, ast.Subscript) and ast.unparse(mark.value) in ("A", "Annotated")):
        return
    kind, *marks = mark.slice.elts if isinstance(mark.slice, ast.Tuple) else [mark.slice]
    arg = next((m for m in marks if isinstance(m, ast.Call) and ast.unparse(m.func) == "Arg"), None)
    words = {keyword.arg: keyword.value for keyword in arg.keywords} if arg else {}
    if literal(words.get("no_cli")) or not (arg or any(isinstance(literal(m), str) for m in marks)):
        return
    name = literal(words.get("cli_name")) or "--" + ast.unparse(node.target).replace("_", "-")
    spelled: list[ast.expr] = [ast.Constant(alias) for alias in (name, *(literal(words.get("aliases")) or []))]
    made = re.sub(r"^Optional\[(.*)\]$|^(.*?) \| None$", r"\1\2", ast.unparse(kind))
    if "action" not in words and "type_parser" not in words and made.lower().startswith("list"):
        words.setdefault("nargs", ast.Constant("+"))
    if made == "bool" and "action" not in words:
        words = {"action": ast.Constant("store_true")}
    extra = words.get("action_kwargs")
    if isinstance(extra, ast.Dict):
        words |= {str(literal(key)): value for key, value in zip(extra.keys, extra.values, strict=True)}
    words["default"] = node.value or ast.Constant(None)
    kept = ("action", "nargs", "help", "new_flag", "error_message", "default")
    given = [ast.keyword(key, words[key]) for key in kept if key in words]
    argparse_call(flags, ast.Call(ast.Name("add_argument"), spelled, given))


def sglang(folder: Path) -> Flags:
    """Read the fields of ServerArgs and the calls beside them."""
    flags: Flags = {}
    for path in files(folder, "**/srt/arg_groups/fields/*.py", "**/srt/server_args.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        for node in nodes:
            if isinstance(node, ast.AnnAssign):
                annotated_field(flags, node)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "parser.add_argument":
                argparse_call(flags, node)
    return flags


def lmdeploy(folder: Path) -> Flags:
    """Follow `add_parser_api_server` into the methods of ArgumentHelper that it calls."""
    flags: Flags = {}
    bodies: dict[str, ast.FunctionDef] = {}
    for path in files(folder, "**/cli/utils.py", "**/cli/serve.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        bodies |= {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}

    def follow(name: str) -> None:
        for node in ast.walk(bodies[name]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "add_argument":
                    argparse_call(flags, node)
                elif ast.unparse(node.func.value) == "ArgumentHelper":
                    follow(node.func.attr)

    follow("add_parser_api_server")
    return flags


# -- clap: TGI ---------------------------------------------------------------------------------------------------------------


def tgi(folder: Path) -> Flags:
    """Read the fields of the launcher's `struct Args`."""
    flags: Flags = {}
    (path,) = files(folder, "**/launcher/src/main.rs")
    body = re.search(r"^struct Args \{(.*?)^\}", path.read_text(), re.DOTALL | re.MULTILINE)
    for marks, field, kind in re.findall(r"#\[clap\(([^\]]*)\)\]\s*(\w+): ([^\n]+),", body.group(1) if body else ""):
        names = ["--" + field.replace("_", "-")] + ([f"-{field[0]}"] if re.search(r"\bshort\b", marks) else [])
        takes = "none" if kind == "bool" else "each" if "Vec<" in kind else "one"
        default = re.search(rf"default_value = {STRING}", marks)
        value = default.group(1) if default else None
        if value is not None and re.fullmatch(r"[uif](size|\d+)", kind):
            value = float(value) if kind.startswith("f") else int(value)
        add(flags, names, takes, env=field.upper() if re.search(r"\benv\b", marks) else None, default=value)
    return flags


# -- click: TensorRT-LLM -----------------------------------------------------------------------------------------------------


def tensorrt_llm(folder: Path) -> Flags:
    """Read the command `serve` of the reference of the command line that TensorRT-LLM holds its own options to."""
    flags: Flags = {}
    (path,) = files(folder, "**/api_stability/references/trtllm_serve_cli.yaml")
    for option, entry in yaml.safe_load(path.read_text())["commands"]["serve"]["options"].items():
        off = [name for name in entry["flags"] if name.startswith("--no-")]
        names = sorted(set(entry["flags"]) - set(off), key=lambda name: name != f"--{option}")
        takes = "none" if entry["is_flag"] else "each" if entry["multiple"] else "one"
        add(flags, names, takes, default=entry["default"])
        add(flags, off, "none", negates=names[0])
    return flags


# -- llama.cpp ---------------------------------------------------------------------------------------------------------------


def llama_cpp(folder: Path) -> Flags:
    """Read the options of common/arg.cpp that llama-server or llama-cli takes (llama-cli was the example MAIN before)."""
    flags: Flags = {}
    (path,) = files(folder, "**/common/arg.cpp")
    for text in re.split(r"\badd_opt\((?:common|llama)_arg\(", path.read_text())[1:]:
        block, *_ = re.split(r"^\}", text, flags=re.MULTILINE)
        shape = re.match(r"\s*\{([^{}]*)\},(?:\s*\{([^{}]*)\},)?", block)
        handler = re.search(r"\[\]\s*\(([^)]*)\)", block)
        examples = re.findall(r"LLAMA_EXAMPLE_(\w+)", "".join(re.findall(r"set_examples\(([^)]*)\)", block)))
        if not shape or not handler or not {"COMMON", "SERVER", "CLI", "MAIN"} & set(examples or ["COMMON"]):
            continue
        names, off = (re.findall(STRING, group or "") for group in shape.groups())
        values = [part for part in handler.group(1).split(",")[1:] if "bool" not in part]
        takes = ("none", "one", "many")[len(values)]
        env = re.search(rf"set_env\({STRING}\)", block)
        told = re.search(rf"arg_removed\({STRING}\)", block)
        variable = env.group(1) if env else None
        add(flags, names, takes, env=variable, gone=told.group(1) if told else None)
        reverse = variable.replace("LLAMA_ARG_", "LLAMA_ARG_NO_") if variable else None
        long = next((name for name in names if name.startswith("--")), names[0])
        add(flags, off, "none", env=reverse, negates=long)
    return flags


# -- variables: Ollama -------------------------------------------------------------------------------------------------------


def ollama(folder: Path) -> Flags:
    """Read the variables of envconfig/config.go, with the kind that its readers make of them."""
    found: Flags = {}
    text = "\n".join(path.read_text() for path in files(folder, "**/envconfig/config.go"))
    readers = {"Bool": "bool", "BoolWithDefault": "bool", "Uint": "int", "Uint64": "int"}
    for reader, name, default in re.findall(rf"\b(\w+)\({STRING}(?:, (\d+))?\)", text):
        if re.fullmatch(r"[A-Z][A-Z0-9_]+", name) and reader in (*readers, "String", "Var", "Getenv", "clean"):
            entry = found.setdefault(name, {"kind": readers.get(reader, "text")})
            if default:
                entry["default"] = int(default)
    for name in re.findall(rf"^\s*{STRING}:\s*\{{", text, re.MULTILINE):
        found.setdefault(name, {"kind": "text"})
    return dict(sorted(found.items()))


READERS: dict[str, Callable[[Path], Flags]] = {
    "sglang": sglang,
    "lmdeploy": lmdeploy,
    "tgi": tgi,
    "tensorrt_llm": tensorrt_llm,
    "llama_cpp": llama_cpp,
    "ollama": ollama,
}


def order(folder: Path) -> tuple[int, ...]:
    """Sort releases by the numbers of their names, a candidate before its release."""
    name = folder.name.replace("post", "").replace("rc", "-1.")
    return tuple(int(part) for part in re.findall(r"-?\d+", name))


def all_names(flags: Flags) -> dict[str, dict[str, Any]]:
    """Return every spelling with its flag's facts."""
    return {name: entry for main, entry in flags.items() for name in (main, *entry.get("aliases", []))}


def gone(releases: list[tuple[str, Flags]], told: dict[str, str]) -> dict[str, str]:
    """Return each spelling of an older release that the newest lacks, and what is known of its end."""
    now = all_names(releases[-1][1])
    found: dict[str, str] = {}
    for (_, before), (after, _) in itertools.pairwise(releases):
        for name, entry in all_names(before).items():
            if name not in now:
                instead = f"{entry['instead']}; " if "instead" in entry else ""
                found[name] = f"{instead}gone by {after}"
    found |= {name: f"{entry['gone']} (refused in {releases[-1][0]})" for name, entry in now.items() if "gone" in entry}
    return dict(sorted((found | told).items()))


def note_changes(releases: list[tuple[str, Flags]]) -> None:
    """Note in the newest release's flags what followed them before, up to which of the releases."""
    for (_, before), (after, flags) in itertools.pairwise((name, all_names(flags)) for name, flags in releases):
        for name, entry in all_names(releases[-1][1]).items():
            if {name} <= {*before} & {*flags} and before[name]["takes"] != flags[name]["takes"] == entry["takes"]:
                entry["was"] = {"takes": before[name]["takes"], "before": after}


def main() -> None:
    """Write the file of one engine."""
    engine, folder, *origin = sys.argv[1:]
    path = ENGINES / engine / "flags.json"
    table = json.loads(path.read_text())
    if origin:
        table["source"], table["versions"] = origin
    releases = [(found.name, READERS[engine](found)) for found in sorted(Path(folder).iterdir(), key=order)]
    newest = releases[-1][1]
    inputs = {name: [flag] if isinstance(flag, str) else flag for name, flag in table["inputs"].items()}
    if table["style"] == "env":
        table["env"], table["retired"] = newest, gone(releases, table.get("told", {}))
        spelled = newest
    else:
        note_changes(releases)
        removed = gone(releases, table.get("told", {}))
        wanted = {flag for some in inputs.values() for flag in some}
        flags = dict(table.get("by_hand", {}))
        for name, entry in newest.items():
            if "gone" not in entry:
                spellings = [name, *entry["aliases"]]
                chosen = next((spelling for spelling in spellings if spelling in wanted), name)
                flags[chosen] = {**entry, "aliases": [spelling for spelling in spellings if spelling != chosen]}
        spelled = dict(flags)
        drop = ("default", "instead")
        table["flags"] = {name: {k: v for k, v in flags[name].items() if k not in drop} for name in sorted(flags)}
        table["removed"] = removed
    given = {name: spelled.get(some[0], {}).get("default") for name, some in inputs.items() if name != "model"}
    # 0 and "" leave the choice to the engine; where 0 is a value, `fixed` says so.
    table["defaults"] = {name: value for name, value in given.items() if value} | table.get("fixed", {})
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(engine, [(name, len(flags)) for name, flags in releases], len(table.get("removed", table.get("retired"))))


if __name__ == "__main__":
    main()
