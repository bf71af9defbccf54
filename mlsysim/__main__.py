"""``python -m mlsysim``: the same as the command ``mlsysim``."""

from mlsysim.entry import main

if __name__ == "__main__":
    main()
