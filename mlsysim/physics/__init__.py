"""The equations, each written once.

Pure functions of SI floats and NumPy arrays (bytes, FLOP, seconds, joules, USD, kgCO2e, litres).
Nothing here imports the rest of mlsysim. Functions that only add, multiply and take maxima also
accept the algebra of ``formulations``, which is how a solver sees the same equations.
"""
