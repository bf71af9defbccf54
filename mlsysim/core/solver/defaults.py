"""How a question is solved where the user does not say: one home for the library and the shell."""

from __future__ import annotations

TIME_LIMIT = 60.0  # s
GAP = 1e-9  # relative
FLEET_GAP = 1e-4  # relative, of plans with several jobs
THREADS = 1
SEED = 0
POINTS = 20  # of a frontier, at most
