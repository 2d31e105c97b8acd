"""What the tests of formats have in common: a text as a file, and what stands where."""

from kvplan.deploy.file import File
from kvplan.launch.text import Source


def read(module, text, path="deploy.yaml"):
    """Return the workloads that a format finds in a text."""
    return list(module.read(File(Source(path, text))))


def texts(words):
    """Return words as plain texts."""
    return [word.text for word in words or ()]


def at(value):
    """Return the line and column of a word, or of a value's last word."""
    word = value.words[-1] if hasattr(value, "words") else value
    place = word.place.place()
    return place.line, place.column


def flag_at(words, name):
    """Return a flag's value and where it stands."""
    index = [word.text for word in words].index(name) + 1
    return words[index].text, at(words[index])
