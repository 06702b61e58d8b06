"""What ends a part of a run."""


class Failure(Exception):
    """Something did not go as it must; the text says what, and is made for people."""
