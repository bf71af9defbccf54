"""The page of errors is what the command writes."""

from benchmarks import accuracy
from mlsysim.core.validation.judge import Report, validate


def test_the_page_is_fresh():
    """Run ``python -m benchmarks.accuracy`` after a change of the physics or of the measurements."""
    assert accuracy.PAGE.read_text(encoding="utf-8") == accuracy.text(validate())


def test_the_page_of_nothing_is_whole():
    assert accuracy.text(Report((), ())).startswith("# Accuracy")
