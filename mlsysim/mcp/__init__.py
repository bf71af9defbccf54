"""``mlsysim mcp``: the zoo, eval, optimize, explain and schema as tools for agents.

The tools are plain functions of plain data (:mod:`mlsysim.mcp.tools`). They run in processes of their own
(:mod:`mlsysim.mcp.worker`), which read no file that a plan names and which are ended when they take too
long (:mod:`mlsysim.mcp.pool`). Only :mod:`mlsysim.mcp.server` knows the protocol.
"""
