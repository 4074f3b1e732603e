#!/usr/bin/env python3
"""aiocometd-ng against a server that runs: aiocometd.py SCENE long-polling|websocket URL [URL of the private API]

Scenes: talk (subscribe, wildcard, publish, unsubscribe, close), restart (says "ready" on stdout, then waits for a line on
stdin, when the server was killed and started again), refused (the handshake is taken and nothing after it). Exits with 0 if
all was as it should be. It needs the package, which tests/bayeux/run.js installs.
"""
import asyncio, json, sys, urllib.request

from aiocometd_ng import Client, ConnectionType
from aiocometd_ng.exceptions import AiocometdException, ServerError

# No scene takes longer than this.
SECONDS_MAX = 20


def client(kind, url):
    # 0: its own time limit for coming back uses an argument that Python 3.10 and later no longer have.
    return Client(url, ConnectionType(kind), connection_timeout=0)


def publish(api, channel, data):
    """Publishes as the backend does."""
    body = json.dumps({"channel": channel, "data": data}).encode()
    request = urllib.request.Request(f"{api}/publish", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        response.read()


async def talk(kind, url, api):
    async with client(kind, url) as one, client(kind, url) as two:
        assert one.connection_type == ConnectionType(kind), one.connection_type
        await one.subscribe("/room/*")
        await two.publish("/room/1", {"n": 1, "text": "ü☄\u2028"})
        first = await one.receive()
        assert (first["channel"], first["data"]) == ("/room/1", {"n": 1, "text": "ü☄\u2028"}), first
        assert "id" not in first and "clientId" not in first, first
        await asyncio.to_thread(publish, api, "/room/2", {"n": 2})
        assert (await one.receive())["data"] == {"n": 2}
        # Its own ids count from 0: none of these answers may be taken for another's.
        for n in range(10):
            answer = await one.publish("/room/3", {"n": n})
            assert answer["successful"] is True, answer
        assert [(await one.receive())["data"]["n"] for _ in range(10)] == list(range(10))
        await one.unsubscribe("/room/*")
        await one.subscribe("/end")
        await two.publish("/room/1", {"n": "unheard"})
        await two.publish("/end", {})
        assert (await one.receive())["channel"] == "/end"


async def restart(kind, url, api):
    async with client(kind, url) as one:
        await one.subscribe("/room/*")
        await asyncio.to_thread(publish, api, "/room/1", {"n": 1})
        assert (await one.receive())["data"] == {"n": 1}
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        # When it has subscribed again is not told by any word of its own: the backend says the same until it is heard.
        heard = asyncio.ensure_future(one.receive())
        while not heard.done():
            await asyncio.to_thread(publish, api, "/room/1", {"n": 2})
            await asyncio.wait([heard], timeout=0.2)
        assert heard.result()["data"] == {"n": 2}


async def refused(kind, url, _api):
    try:
        await client(kind, url).open()
    except ServerError as error:
        assert error.error_code == 402, error
    else:
        raise AssertionError("a client without its cookie was taken")


async def main(scene, kind, url, api=""):
    scenes = {"talk": talk, "restart": restart, "refused": refused}
    await asyncio.wait_for(scenes[scene](kind, url, api), SECONDS_MAX)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except AiocometdException as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
