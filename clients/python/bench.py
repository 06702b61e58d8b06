"""What a guard costs over the bare stub, in microseconds a call: one key, one connection, one call at a time."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import grpc
import grpc.aio

import portcullis
from portcullis import aio, v1

ROUNDS = 200
CALLS_A_ROUND = 25

ADDRESS = urlsplit(os.environ["PORTCULLIS_SERVER"]).netloc
METADATA = (("authorization", "Bearer " + os.environ["PORTCULLIS_ROOT_KEY"]),)
KEY = os.environ["PORTCULLIS_BENCH_KEY"]
AUTHORIZATION = [f"Bearer {KEY}"]


async def measure(name: str, bare: Callable[[], Awaitable[object]], guarded: Callable[[], Awaitable[object]]) -> None:
    taken: dict[Callable[[], Awaitable[object]], list[float]] = {bare: [], guarded: []}
    for _ in range(ROUNDS):
        for call, times in taken.items():
            for _ in range(CALLS_A_ROUND):
                start = time.perf_counter()
                await call()
                times.append(time.perf_counter() - start)
    stub, guard = (statistics.median(times) * 1e6 for times in taken.values())
    print(f"{name:8} stub {stub:6.1f} us   guard {guard:6.1f} us   guard/stub {guard / stub:.3f}")


async def main() -> None:
    with grpc.insecure_channel(ADDRESS) as channel, portcullis.Client() as client:
        stub, guard = v1.VerificationServiceStub(channel), portcullis.Guard(client, keyspace="default")

        async def blocking_stub() -> None:
            assert stub.Verify(v1.VerifyRequest(key=KEY, client_ip="127.0.0.1"), timeout=1, metadata=METADATA).valid

        async def blocking_guard() -> None:
            guard.check(AUTHORIZATION, [], "127.0.0.1")

        await measure("blocking", blocking_stub, blocking_guard)

    async with grpc.aio.insecure_channel(ADDRESS) as aio_channel, aio.Client() as aio_client:
        aio_stub, aio_guard = v1.VerificationServiceStub(aio_channel), aio.Guard(aio_client, keyspace="default")

        async def asyncio_stub() -> None:
            request = v1.VerifyRequest(key=KEY, client_ip="127.0.0.1")
            assert (await aio_stub.Verify(request, timeout=1, metadata=METADATA)).valid

        async def asyncio_guard() -> None:
            await aio_guard.check(AUTHORIZATION, [], "127.0.0.1")

        await measure("asyncio", asyncio_stub, asyncio_guard)


asyncio.run(main())
