"""``python -m meddel``: the method's commands."""

from meddel.cli import main

if __name__ == "__main__":
    main()
