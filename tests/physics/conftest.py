"""Laws are checked by value, not by the clock: a busy machine must not fail them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("physics", deadline=None)
settings.load_profile("physics")
