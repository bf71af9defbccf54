"""The walls as optimization problems: algebra, exact presolve, engines, and one recipe a problem.

A plain import package: importing it imports no solver.
"""
