"""``python -m trainer``: the command ``trainer``."""

from trainer.cli import main

if __name__ == "__main__":
    main()
