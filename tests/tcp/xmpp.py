"""A user of XMPP on plain TCP, with slixmpp: answers each message with its text in capitals. Arguments: its address, password and port."""
import sys

import slixmpp


class Parrot(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        # The server of the tests has no TLS.
        self["feature_mechanisms"].unencrypted_plain = True
        self["feature_mechanisms"].unencrypted_scram = True
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.reply)
        self.add_event_handler("failed_auth", lambda _: sys.exit("the login failed"))

    async def start(self, _):
        self.send_presence()
        await self.get_roster()
        print("ready", flush=True)

    def reply(self, message):
        print("heard", message["from"].bare, message["body"].encode(), flush=True)
        message.reply(message["body"].upper()).send()


jid, password, port = sys.argv[1:]
parrot = Parrot(jid, password)
parrot.connect(("127.0.0.1", int(port)), disable_starttls=True)
parrot.process(forever=True)
