"""`python -m nasbench`: the same as the console script."""

from nasbench.cli.main import main

if __name__ == "__main__":
    main()
