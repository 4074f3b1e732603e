#!/usr/bin/env python3
"""A Bayeux client of PyPI against a server that runs: others.py NAME URL [URL of the private API]

NAME: aiocometd-noloop/long-polling, aiocometd-noloop/websocket, baiocas, python-bayeux. Each subscribes to
/room/1, publishes there and gets its own message, gets the backend's, and ends its session. Exits with 0 if all was as it
should be. It needs the packages, which tests/bayeux/run.js installs.
"""
import asyncio, json, os, sys, urllib.request

# No scene takes longer than this.
SECONDS_MAX = 20


def publish(api, data):
    """Publishes as the backend does."""
    body = json.dumps({"channel": "/room/1", "data": data}).encode()
    request = urllib.request.Request(f"{api}/publish", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        response.read()


async def noloop(kind, url, api):
    from aiocometd_noloop import Client, ConnectionType
    # 0: its own time limit for coming back uses an argument that Python 3.10 and later no longer have.
    async with Client(url, ConnectionType(kind), connection_timeout=0) as one:
        assert one.connection_type == ConnectionType(kind), one.connection_type
        await one.subscribe("/room/*")
        await one.publish("/room/1", {"n": 1})
        assert (await one.receive())["data"] == {"n": 1}
        await asyncio.to_thread(publish, api, {"n": 2})
        assert (await one.receive())["data"] == {"n": 2}


def baiocas(url, api):
    from baiocas.client import Client
    from baiocas.transports.long_polling import LongPollingHttpTransport
    from tornado.ioloop import IOLoop
    # Its transport makes a loop of its own first, which it cannot within one that runs.
    loop, one = IOLoop.current(), Client(url)
    one.register_transport(LongPollingHttpTransport())

    async def scene():
        told = asyncio.Queue()

        def heard(_channel, message):
            told.put_nowait(json.loads(json.dumps(message, default=str)))

        for channel in ("/meta/connect", "/meta/subscribe"):
            one.get_channel(channel).add_listener(heard)
        one.handshake()
        await until(told, "/meta/connect")
        one.get_channel("/room/1").subscribe(heard)
        await until(told, "/meta/subscribe")
        one.get_channel("/room/1").publish({"n": 1})
        assert (await until(told, "/room/1"))["data"] == {"n": 1}
        await asyncio.to_thread(publish, api, {"n": 2})
        assert (await until(told, "/room/1"))["data"] == {"n": 2}

    loop.run_sync(scene, timeout=SECONDS_MAX)
    # What it holds back would end with errors.
    os._exit(0)


async def until(told, channel):
    """The next message of a channel that is an event, or an answer that says well."""
    while True:
        message = await told.get()
        if message.get("channel") == channel and ("data" in message or message.get("successful")):
            return message


def python_bayeux(url, api):
    from gevent import monkey
    monkey.patch_all()
    import gevent, gevent.event
    from python_bayeux import BayeuxClient

    class Client(BayeuxClient):
        got, subscribed = [], gevent.event.Event()

        def heard(self, message):
            self.got.append(message["data"])

        def _send_message(self, payload, **more):
            answer = super()._send_message(payload, **more)
            if payload["channel"] == "/meta/subscribe" and answer[0]["successful"]:
                self.subscribed.set()
            return answer

    with gevent.Timeout(SECONDS_MAX):
        one = Client(url)
        one.subscribe("/room/1", "heard")
        gevent.spawn(one._execute_greenlet)
        assert one.subscribed.wait(SECONDS_MAX)
        one.publish("/room/1", {"n": 1})
        wait_for(gevent, lambda: one.got == [{"n": 1}])
        publish(api, {"n": 2})
        wait_for(gevent, lambda: one.got == [{"n": 1}, {"n": 2}])
        assert one.disconnect()[0]["successful"]
    # Its greenlets go on for a while after the end.
    os._exit(0)


def wait_for(gevent, claim):
    while not claim():
        gevent.idle()
        gevent.get_hub().loop.update_now()
        gevent.sleep(0)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    library, _, kind = sys.argv[1].partition("/")
    if library == "aiocometd-noloop":
        asyncio.run(asyncio.wait_for(noloop(kind, *sys.argv[2:]), SECONDS_MAX))
    else:
        {"baiocas": baiocas, "python-bayeux": python_bayeux}[library](*sys.argv[2:])
