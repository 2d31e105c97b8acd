"""Files of one format in memory, for the tests of its reader."""

from importlib import import_module

from kvplan.deploy.file import File
from kvplan.launch.text import Source


def workloads(format_, path, text, **beside):
    """Return what one format's reader yields for a file; `beside` are files of its folder, dots written as `__`."""
    files = {name.replace("__", "."): content for name, content in beside.items()}
    return list(import_module(f"kvplan.deploy.formats.{format_}").read(_file(path, text, files)))


def only(*args, **beside):
    """Return the one workload that there is."""
    (workload,) = workloads(*args, **beside)
    return workload


def _file(path, text, files):
    def beside(name):
        plain = name.removeprefix("./")
        return _file(plain, files[plain], files) if plain in files else None

    return File(Source(path, text), beside)


def texts(words):
    """Return the words of a command."""
    return [word.text for word in words]


def at(word):
    """Return file, line, column and text of a word's place."""
    place = (word.words[-1] if hasattr(word, "words") else word).place.place()
    return place.path, place.line, place.column, place.text


def values(environment):
    """Return the values of variables."""
    return {name: value.value for name, value in environment.items()}
