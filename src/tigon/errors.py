"""What can go wrong, as the user should hear it: one line that names the thing and the remedy."""


class TigonError(Exception):
    """What was asked cannot be done; the message is one line. The command line ends with 2."""


class DivergenceError(TigonError):
    """Training left the finite numbers; the message says how. The command line ends with 3."""
