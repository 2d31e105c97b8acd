"""Write kvplan/engines/vllm/command/flags.json: which flags `vllm serve` takes in which release, and what follows each.

    python tools/extract_vllm_flags.py REPOSITORY [RELEASE ...]

REPOSITORY is a git repository with a tag for each release of vLLM (v0.11.0), at least with its *.py files. Nothing of it is
run: the calls of `add_argument` are read from the syntax trees of engine/arg_utils.py, entrypoints/**/cli_args.py and
entrypoints/cli/serve.py, the fields that they take their kind from in vllm/config*; what `get_kwargs` makes of a field's
type is written out in `kind_of` below.

Kinds: `flag` takes nothing; `switch` takes nothing and has a `--no-` form; `maybe` takes one value or none; `many` takes
one or more; `each` takes one, and each use adds one; `json` and `json or text` take one; `int`, `float`, `text` take one;
`human` takes an integer that may end in k or K, `human or auto` also -1 or auto; `gone`: no longer there; another flag:
the same as that one. `0.8.1 int, 0.8.5 human` is what it is from the one release on, and from the other.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "kvplan" / "engines" / "vllm" / "command" / "flags.json"
FIRST = (0, 8)
GONE = "gone"


@dataclass
class Sources:
    """The syntax trees of one release: classes by name, aliases of types by name."""

    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    aliases: dict[str, ast.expr] = field(default_factory=dict)
    human: dict[str, str] = field(default_factory=dict)

    def add(self, tree: ast.Module) -> None:
        """Take the classes and aliases of a file."""
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.classes.setdefault(node.name, node)
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.aliases.setdefault(node.targets[0].id, node.value)
            elif (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.value is not None
                and ast.unparse(node.annotation).endswith("TypeAlias")
            ):
                self.aliases.setdefault(node.target.id, node.value)

    def fields(self, name: str) -> dict[str, ast.expr]:
        """Return the annotations of a class's fields, inherited ones first."""
        found: dict[str, ast.expr] = {}
        node = self.classes.get(name)
        if node is None:
            return found
        for base in node.bases:
            found |= self.fields(ast.unparse(base))
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                found[item.target.id] = item.annotation
        return found

    def members(self, annotation: ast.expr) -> Iterator[str]:
        """Yield the heads of the types that a hint unites: bool, Literal, list, dict, a class's name."""
        if isinstance(annotation, ast.Constant):
            if isinstance(annotation.value, str):
                yield from self.members(ast.parse(annotation.value, mode="eval").body)
            else:
                yield repr(annotation.value)
        elif isinstance(annotation, ast.BinOp):
            yield from self.members(annotation.left)
            yield from self.members(annotation.right)
        elif isinstance(annotation, ast.Subscript):
            head = ast.unparse(annotation.value).split(".")[-1]
            inner = annotation.slice
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if head in ("Union", "Optional"):
                for part in parts:
                    yield from self.members(part)
                if head == "Optional":
                    yield "None"
            elif head in ("Annotated", "SkipValidation", "InitVar", "ClassVar"):
                yield from self.members(parts[0])
            else:
                yield head.lower() if head in ("Dict", "List", "Tuple", "Set") else head
        else:
            name = ast.unparse(annotation).split(".")[-1]
            alias = self.aliases.get(name)
            if name not in self.classes and isinstance(alias, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute):
                yield from self.members(alias)
            elif any(
                ast.unparse(base).split("[")[0] == "dict" for base in getattr(self.classes.get(name), "bases", ())
            ):
                yield "dict"
            else:
                yield name

    def is_config(self, name: str) -> bool:
        """Whether a class is one of the dataclasses that are given as JSON."""
        node = self.classes.get(name)
        return node is not None and any(
            ast.unparse(decorator).split("(")[0].split(".")[-1] in ("config", "dataclass")
            for decorator in node.decorator_list
        )

    def kind_of(self, name: str, annotation: ast.expr) -> str:
        """Return what follows the flag of a field, in the order in which `get_kwargs` asks."""
        hints = set(self.members(annotation))
        if any(self.is_config(hint) for hint in hints):
            return "json"
        if hints == {"bool", "str", "None"}:
            return "maybe"
        for hint, kind in (
            ("bool", "switch"),
            ("Literal", "text"),
            ("tuple", "many"),
            ("list", "many"),
            ("set", "many"),
            ("int", self.human.get(name, "int")),
            ("float", "float"),
        ):
            if hint in hints:
                return kind
        if "dict" in hints:
            other = hints - {"dict", "None"}
            return "json or text" if other else "json"
        return "text"


def human_fields(tree: ast.Module) -> dict[str, str]:
    """Return the fields of whole numbers that `get_kwargs` lets end in k or K."""
    found: dict[str, str] = {}
    sets: dict[str, ast.expr] = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Set)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
            continue
        if ast.unparse(node.test.left) != "name":
            continue
        made = [
            ast.unparse(step.value)
            for step in node.body
            if isinstance(step, ast.Assign) and "type" in ast.unparse(step.targets[0])
        ]
        kind = {"human_readable_int": "human", "human_readable_int_or_auto": "human or auto"}.get(
            made[0] if made else ""
        )
        if kind is None:
            continue
        right: ast.expr | None = node.test.comparators[0]
        if isinstance(right, ast.Name):
            right = sets.get(right.id)
        for value in right.elts if isinstance(right, ast.Set | ast.Tuple | ast.List) else [right]:
            if isinstance(value, ast.Constant):
                found[value.value] = kind
    return found


TYPES = {"int": "int", "float": "float", "str": "text", "json.loads": "json"}


class Calls(ast.NodeVisitor):
    """Collects the flags of a file, statement by statement."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.configs: dict[str, str] = {}
        self.fields: dict[str, tuple[str, str]] = {}
        self.changed: dict[tuple[str, str], dict[str, Any]] = {}
        self.flags: dict[str, str] = {}

    def visit_Assign(self, node: ast.Assign) -> None:
        """Note `x = get_kwargs(Config)`, `y = x["field"]` and `x["field"]["type"] = ...`."""
        target, value = node.targets[0], node.value
        if (
            isinstance(target, ast.Name)
            and isinstance(value, ast.Call)
            and ast.unparse(value.func).endswith("get_kwargs")
        ):
            name = ast.unparse(value.args[0])
            self.configs[target.id] = "FrontendArgs" if name in ("cls", "FrontendArgs") else name
        elif isinstance(target, ast.Name) and (key := self._field(value)):
            self.fields[target.id] = key
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            key = self._field(target.value)
            if key:
                self.changed.setdefault(key, {})[target.slice.value] = value
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        """Note `del x["field"]["nargs"]`."""
        for target in node.targets:
            if (
                isinstance(target, ast.Subscript)
                and isinstance(target.slice, ast.Constant)
                and (key := self._field(target.value))
            ):
                self.changed.setdefault(key, {})[target.slice.value] = None

    def visit_For(self, node: ast.For) -> None:
        """Note flags that a loop over their names adds (the deprecated ones of guided decoding); each takes a value."""
        rows = node.iter.elts if isinstance(node.iter, ast.List | ast.Tuple) else []
        names = [row.elts[0] for row in rows if isinstance(row, ast.Tuple) and row.elts]
        if names and "add_argument" in ast.unparse(node):
            self.flags |= {str(name.value): "text" for name in names if isinstance(name, ast.Constant)}
        self.generic_visit(node)

    def _field(self, node: ast.expr) -> tuple[str, str] | None:
        """Return config and field of `x["field"]`, through dictionaries that only change defaults and names of it."""
        if isinstance(node, ast.Name):
            return self.fields.get(node.id)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Call)
            and isinstance(node.slice, ast.Constant)
        ):
            if ast.unparse(node.value.func).endswith("get_kwargs"):
                return ast.unparse(node.value.args[0]), str(node.slice.value)
            return None
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        ):
            name = node.value.id
            config = self.configs.get(name) or ("FrontendArgs" if name == "frontend_kwargs" else None)
            if config is None and isinstance(node.slice.value, str) and name.endswith("_kwargs"):
                return None
            return (config, str(node.slice.value)) if config else None
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is None and (found := self._field(value)):
                    return found
        return None

    def visit_Call(self, node: ast.Call) -> None:
        """Note a flag."""
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"):
            return
        names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if not names or not all(name.startswith("-") for name in names):
            return
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        key = next((found for k in node.keywords if k.arg is None and (found := self._field(k.value))), None)
        self._take(names, given, key)

    def _take(self, names: list[str], given: dict[str, Any], key: tuple[str, str] | None) -> None:
        kind = "text"
        if key is not None:
            annotation = self.sources.fields(key[0]).get(key[1])
            if annotation is None:
                print(f"no field {key}", file=sys.stderr)
            else:
                kind = self.sources.kind_of(key[1], annotation)
        kind = changed_kind(kind, {**self.changed.get(key, {}), **given} if key else given)
        main = next((name for name in names if name.startswith("--")), names[0])
        for name in names:
            self.flags[name] = kind if name == main else main


def changed_kind(kind: str, keywords: dict[str, Any]) -> str:
    """Return the kind that the keywords of `add_argument` make of a field's own."""
    words = {name: None if value is None else ast.unparse(value) for name, value in keywords.items()}
    action = words.get("action") or ""
    if action in ("'store_true'", "'store_false'"):
        return "flag"
    if action.endswith("BooleanOptionalAction"):
        return "switch"
    if action == "'append'":
        return "each"
    nargs = words.get("nargs")
    if nargs in ("'+'", "'*'"):
        return "many"
    if nargs == "'?'":
        return "maybe"
    if "nargs" in words and nargs is None and kind == "many":
        kind = "text"
    made = words.get("type")
    if made is None or kind == "many":
        return kind
    inner = re.sub(r"^(?:optional_type|nullable_type|parse_type)\((.*)\)$", r"\1", made)
    return {"human_readable_int": "human", "human_readable_int_or_auto": "human or auto"}.get(inner) or TYPES.get(
        inner, "json" if inner == "nullable_kvs" else kind
    )


def show(repository: str, release: str, path: str) -> str:
    """Return a file of a release."""
    return git(repository, "show", f"{release}:{path}")


def git(repository: str, *words: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", "-C", repository, *words], capture_output=True, text=True, check=True).stdout  # noqa: S603, S607


def flags_of(repository: str, release: str) -> dict[str, str]:
    """Return the flags of a release: each to its kind, or to the flag that it is another name of."""
    paths = git(repository, "ls-tree", "-r", "--name-only", release).splitlines()
    read = [p for p in paths if re.fullmatch(r"vllm/(config(/\w+)?|pooling_params|lora/request)\.py", p)]
    parsers = [
        p
        for p in paths
        if re.fullmatch(r"vllm/(engine/arg_utils|entrypoints/(\w+/)?cli_args|entrypoints/cli/serve)\.py", p)
    ]
    sources = Sources()
    trees = {path: ast.parse(show(repository, release, path)) for path in (*read, *parsers)}
    for tree in trees.values():
        sources.add(tree)
    sources.human = human_fields(trees["vllm/engine/arg_utils.py"])
    found: dict[str, str] = {}
    for path in parsers:
        calls = Calls(sources)
        calls.visit(trees[path])
        if "cli_args" in path and "FrontendArgs" in sources.classes:
            for name in sources.fields("FrontendArgs"):
                calls._take([f"--{name.replace('_', '-')}"], {}, ("FrontendArgs", name))  # noqa: SLF001
        found |= calls.flags
    return found


def table(repository: str, releases: list[str]) -> dict[str, str]:
    """Return for every flag the releases at which it came, changed and went."""
    flags: dict[str, list[tuple[str, str]]] = {}
    for release in releases:
        now = flags_of(repository, release)
        print(release, len(now), file=sys.stderr)
        for name in sorted({*flags, *now}):
            spans = flags.setdefault(name, [])
            meaning = now.get(name, GONE)
            if not spans or spans[-1][1] != meaning:
                spans.append((release.removeprefix("v"), meaning))
    return {name: ", ".join(f"{version} {meaning}" for version, meaning in flags[name]) for name in sorted(flags)}


def pairs_since(repository: str, releases: list[str]) -> str:
    """Return the first release whose `--enable-x` has a `--disable-x` (utils/argparse_utils.py EnableDisableAction)."""
    path = "vllm/utils/argparse_utils.py"
    return next(
        release.removeprefix("v")
        for release in releases
        if path in git(repository, "ls-tree", "-r", "--name-only", release).splitlines()
        and "class EnableDisableAction" in show(repository, release, path)
    )


def main() -> None:
    """Write the file."""
    repository, *asked = sys.argv[1:]
    tags = asked or [tag for tag in git(repository, "tag").split() if re.fullmatch(r"v\d+(\.\d+)+", tag)]
    order = {tag: tuple(int(part) for part in re.findall(r"\d+", tag)) for tag in tags}
    releases = sorted((tag for tag in tags if order[tag] >= FIRST), key=order.__getitem__)
    content = {
        "releases": " ".join(release.removeprefix("v") for release in releases),
        "disable_forms_since": pairs_since(repository, releases),
        "flags": table(repository, releases),
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
