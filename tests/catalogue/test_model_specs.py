"""Every file of `model_specs/` is what the catalogue and the reader expect."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvplan.catalogue import MODELS, normalise

sys.path.insert(0, str(Path(__file__).parent))
from schema import ModelFile

FILES = sorted(MODELS.root.glob("*.yaml"))
# What a configuration repeats without saying anything about memory.
NOISE = re.compile(
    r"(_token_ids?|transformers_version|auto_map|_name_or_path|initializer_range|id2label|use_cache|dropout)$"
)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request):
    return request.param


def content(path):
    return MODELS.read(MODELS.entries[path.stem])


def test_there_are_at_least_150_models():
    """The catalogue covers what people run: 150 models or more, of more than 100 architectures."""
    assert len(FILES) >= 150
    assert len({content(path)["config"]["model_type"] for path in FILES}) >= 100


def test_file_follows_the_schema(path):
    """A file has the documented keys with plausible values, and nothing else."""
    ModelFile.model_validate(content(path))


def test_keys_stand_in_the_documented_order(path):
    """A reader finds the same thing at the same place in every file."""
    assert list(content(path)) == [key for key in ModelFile.model_fields if key in content(path)]


def test_id_is_the_file_name(path):
    """The file of an id can be opened without looking into any other."""
    assert content(path)["id"] == path.stem


def test_first_lines_are_readable_as_text(path):
    """Id and aliases, read as text from the first 4 KiB, are what YAML says they are."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"id: {path.stem}"
    assert lines[1].startswith("aliases: [")
    assert len("\n".join(lines[:2])) < 4096
    assert list(MODELS.entries[path.stem].aliases) == content(path)["aliases"]


def test_a_checkpoint_is_readable_as_text(path):
    """Every repository among the checkpoints of a file is found by its name, with its format."""
    for checkpoint in content(path)["checkpoints"]:
        hub = checkpoint.get("hub")
        if hub and hub not in content(path)["hub"]:
            found = MODELS.find_checkpoint(hub)
            assert found is not None
            assert (found[0].id, found[1]) == (path.stem, checkpoint["format"])


def test_every_repository_is_an_alias(path):
    """`--model org/name` finds the entry that lists the repository, without a network."""
    for hub in content(path)["hub"]:
        found = MODELS.find(hub)
        assert found is not None
        assert found.id == path.stem


def test_configuration_holds_no_noise(path):
    """A configuration says what the model is: no token ids, no remote code, no training settings."""

    def keys(value: Any):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield str(key)
                yield from keys(inner)

    assert [key for key in keys(content(path)["config"]) if NOISE.search(key)] == []


def test_no_name_means_two_models():
    """An id or alias, in any spelling, belongs to one entry only and is listed there once."""
    owners: dict[str, str] = {}
    for entry in MODELS.entries.values():
        for name in (entry.id, *entry.aliases):
            assert owners.setdefault(normalise(name), entry.id) == entry.id, name
        names = [normalise(name) for name in (entry.id, *entry.aliases)]
        assert len(names) == len(set(names)), entry.id


def test_no_repository_is_alias_and_quantised_checkpoint_of_different_formats():
    """The name of a quantised repository never resolves to the unquantised model."""
    for path in FILES:
        for checkpoint in content(path)["checkpoints"]:
            hub = checkpoint.get("hub")
            if hub and hub not in content(path)["hub"]:
                assert MODELS.find(hub) is None, hub


def test_the_c_and_the_python_loader_agree(path):
    """A file means the same with and without libyaml: no number reads as text."""
    text = path.read_bytes()
    assert yaml.load(text, yaml.SafeLoader) == content(path)
