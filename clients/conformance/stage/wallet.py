"""The secrets of a run, by name."""

import re
import secrets as random

# As much of a secret as a log may show: its prefix and a bit of its lookup.
SHOWN = 20
# So much of the rest of one is a leak.
LEAK = 12

MISTYPED = ".mistyped"
PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
REPEATED = re.compile(r"(.)\*(\d+)")


class Wallet:
    """Puts secrets into cases, takes them out of what is shown, and finds them in what was said."""

    def __init__(self, parent: "Wallet | None" = None) -> None:
        """One that knows all that `parent` knows by now."""
        self._secrets: dict[str, str] = dict(parent._secrets) if parent else {}
        self._ids: dict[str, str] = dict(parent._ids) if parent else {}

    def add(self, name: str, secret: str, key_id: str = "") -> str:
        """Keeps a secret, and the same with its last character changed; the secret."""
        self._secrets[name] = secret
        self._secrets[name + MISTYPED] = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        self._ids[f"{name}.id"] = key_id
        return secret

    def add_root_key(self, name: str) -> str:
        """Makes up a first root key of a store."""
        return self.add(name, f"root_{random.token_hex(27)}")

    def fill(self, value):
        """The same with every `${…}` within replaced by what it stands for."""
        if isinstance(value, str):
            return PLACEHOLDER.sub(lambda found: self._meaning(found[1]), value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {name: self.fill(item) for name, item in value.items()}
        return value

    def _meaning(self, name: str) -> str:
        if repeated := REPEATED.fullmatch(name):
            return repeated[1] * int(repeated[2])
        known = self._secrets | self._ids
        if name not in known:
            raise KeyError(f"no key of keys.json is called {name}")
        return known[name]

    def redact(self, text: str) -> str:
        """The same with every secret replaced by its name."""
        for name, secret in self._secrets.items():
            text = text.replace(secret, f"${{{name}}}")
        return text

    def leaks(self, text: str) -> list[str]:
        """The names of the secrets of which more than a hint is in the text."""
        known = ((name, secret) for name, secret in self._secrets.items() if not name.endswith(MISTYPED))
        return sorted(name for name, secret in known if _has_part(text, secret[SHOWN:]))


def _has_part(text: str, secret: str) -> bool:
    return any(secret[at : at + LEAK] in text for at in range(len(secret) - LEAK + 1))
