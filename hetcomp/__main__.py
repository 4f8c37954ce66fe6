"""`python -m hetcomp`: the command line."""

from hetcomp.cli import main

if __name__ == "__main__":
    main()
