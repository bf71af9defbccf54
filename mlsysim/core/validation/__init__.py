"""Predictions against what was measured: every row of ``registry/measurements``, or of a user's file.

- :mod:`mlsysim.core.validation.rows` reads rows, :mod:`~mlsysim.core.validation.fields` says what one
  may hold;
- :mod:`~mlsysim.core.validation.subject` makes a scenario of a row as a plan makes one, and
  :mod:`~mlsysim.core.validation.filling` has the rules for what its source does not state;
- ``training``, ``serving``, ``operators`` and ``energy`` predict, each for its kinds of rows;
- :mod:`~mlsysim.core.validation.judge` compares, and :mod:`~mlsysim.core.validation.report` shows it.
"""
