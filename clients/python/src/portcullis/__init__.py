"""Client of Portcullis, and guards that let a request through if its API key is good.

`Client` and `Guard` block; `portcullis.aio` has both for asyncio. Guards for frameworks are in `portcullis.asgi` and
`portcullis.fastapi`, all messages and stubs in `portcullis.v1`.
"""

from ._demand import ANY_KEYSPACE
from .client import Client
from .guard import Guard
from .identity import Identity
from .refusal import Refusal

__all__ = ["ANY_KEYSPACE", "Client", "Guard", "Identity", "Refusal"]
__version__ = "0.1.0"
