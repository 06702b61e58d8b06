"""The guard that blocks, for any framework."""

from collections.abc import Sequence

from ._policy import Policy
from .client import Client
from .identity import Identity


class Guard(Policy[Client]):
    """Lets a request through if its key is good for what the guard asks. For use by any number of threads."""

    def check(self, authorization: Sequence[str], x_api_key: Sequence[str], client_ip: str | None) -> Identity:
        """Whose request this is.

        Args:
            authorization: all lines of this header, each on its own; empty if there is none.
            x_api_key: all lines of this header.
            client_ip: the address of the peer, without a port; None, or what is no address: unknown, which keys
                with allowed networks do not pass with.

        Raises:
            Refusal: the request may not pass.
        """
        request = self.request(authorization, x_api_key, client_ip)
        try:
            response = self.client.verification.Verify(request)
        except Exception as error:
            return self.unanswered(error, self.client._readiness)
        return self.answered(response)
