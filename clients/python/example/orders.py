"""An API with one route, which needs a key with the scope orders:read."""

import os
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI

from portcullis import Identity
from portcullis.aio import Client, Guard
from portcullis.fastapi import dependency, install

app = FastAPI()
install(app)
read_orders = dependency(Guard(Client(), keyspace="default", scopes=["orders:read"]))


@app.get("/orders")
async def orders(identity: Annotated[Identity, Depends(read_orders)]) -> dict[str, Any]:
    return {"subject": identity.subject, "orders": [{"id": 1, "item": "tea"}, {"id": 2, "item": "kettle"}]}


if __name__ == "__main__":
    config = uvicorn.Config(app, port=int(os.environ.get("PORT", "8080")), log_level="warning", proxy_headers=False)
    listener = config.bind_socket()
    # Whoever reads the address may use it at once.
    listener.listen()
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run([listener])
