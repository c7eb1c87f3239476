"""`python -m azft` is the command `azft`."""

from azft.cli.main import main

if __name__ == "__main__":
    main()
