"""Design spaces: named dimensions over anything in a plan, evaluated, searched or solved.

:class:`mlsysim.DesignSpace` is the way in; ``mlsysim sweep`` runs the same from a campaign file.
"""
