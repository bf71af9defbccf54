"""How nearly equal is equal, for engine and solver alike."""

# Demand and supply that agree to this much are equal, and so are a solver's value and eval's.
TOLERANCE = 1e-6
# What rounding may add: rows of a problem are this much tighter, so that what they let through holds.
ROUNDING = 1e-8
