"""Files that are generated from others are fresh."""

import json

from mlsysim.core import unit_table, units, zoo_stub


def test_unit_factors_are_what_pint_says():
    assert json.loads(units.FACTORS.read_text(encoding="utf-8")) == json.loads(json.dumps(unit_table.table()))


def test_stub_names_every_entry():
    assert zoo_stub.STUB.read_text(encoding="utf-8") == zoo_stub.text()
