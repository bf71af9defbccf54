"""The documentation site: what is generated from the code, and the snippets of all pages.

No part of the package. ``python -m mkdocs build --strict`` uses it by way of :mod:`docgen.hooks`, the tests
by way of :mod:`docgen.snippets`.
"""
