"""A web app whose users chat through Encke with an unaltered XMPP server: python3 app.py PORT

It makes the accounts, in the SQL database that Prosody uses too (README.md), logs their users in, gives them tokens for
Encke, and shows the messages that Prosody has archived. It takes no part in the chat itself. Variables: APP_DATABASE, a
SQLite file; APP_DOMAIN, Prosody's host; ENCKE_URL, Encke as browsers reach it; ENCKE_TOKEN_KEY.
"""
import base64, contextlib, hashlib, hmac, html, http.cookies, json, os, pathlib, re, secrets, sqlite3, sys, time
import urllib.parse
import xml.etree.ElementTree as xml
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATABASE, DOMAIN, ENCKE = (os.environ[name] for name in ("APP_DATABASE", "APP_DOMAIN", "ENCKE_URL"))
TOKEN_KEY = os.environ["ENCKE_TOKEN_KEY"].encode()
# Logins end with the program.
COOKIE_KEY = secrets.token_bytes(32)
LOGIN_SECONDS, TOKEN_SECONDS = 8 * 3600, 600
# As Prosody's default_iteration_count (SCRAM-SHA-1, RFC 5802).
ITERATIONS = 10_000
BODY_BYTES_MAX = 4096
SHOWN_MAX = 500
# Names that are the same in every spelling that XMPP allows (RFC 7622, section 3.3).
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
FOLDER = pathlib.Path(__file__).parent
FILES = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
         "/xmpp-link.js": ("xmpp-link.js", "text/javascript")}


# ---- the database, with Prosody's tables (mod_storage_sql) ----

@contextlib.contextmanager
def database():
    """A transaction. Prosody writes to the same file: either waits for the other."""
    connection = sqlite3.connect(DATABASE, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


def make_tables():
    """Prosody makes them at its first use, which may come after the first account."""
    columns = ", ".join(f'"{name}" TEXT NOT NULL' for name in ("host", "user", "store", "key", "type", "value"))
    with database() as connection:
        connection.execute(f'CREATE TABLE IF NOT EXISTS "prosody" ({columns})')


def keys(password, salt, iterations):
    """The two keys from which a server can check a password, and cannot compute it."""
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), iterations)
    key = lambda name: hmac.digest(salted, name, "sha1")
    return {"stored_key": hashlib.sha1(key(b"Client Key")).hexdigest(), "server_key": key(b"Server Key").hex()}


def account(connection, name):
    query = "SELECT key, value FROM prosody WHERE host = ? AND user = ? AND store = 'accounts'"
    return dict(connection.execute(query, (DOMAIN, name)))


def make_account(name, password):
    """Whether the name was free. Prosody finds the account at the next login (internal_hashed)."""
    salt = secrets.token_hex(16)
    values = {"salt": salt, "iteration_count": ITERATIONS, **keys(password, salt, ITERATIONS)}
    with database() as connection:
        if account(connection, name):
            return False
        rows = [(DOMAIN, name, "accounts", key, "number" if isinstance(value, int) else "string", str(value))
                for key, value in values.items()]
        connection.executemany("INSERT INTO prosody (host, user, store, key, type, value) VALUES (?, ?, ?, ?, ?, ?)", rows)
    return True


def is_right(name, password):
    with database() as connection:
        known = account(connection, name)
    if not known:
        return False
    computed = keys(password, known["salt"], int(known["iteration_count"]))
    return hmac.compare_digest(computed["stored_key"], known["stored_key"])


def log_of(name):
    """The messages of a user, the oldest first: when, who, to whom, what. Prosody has them by mod_mam."""
    with database() as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'prosodyarchive'").fetchone():
            return []
        rows = connection.execute(
            'SELECT "when", value FROM prosodyarchive WHERE host = ? AND user = ? AND store = \'archive\' '
            "ORDER BY sort_id DESC LIMIT ?", (DOMAIN, name, SHOWN_MAX)).fetchall()
    bare = lambda address: (address or "").split("/")[0]
    messages = []
    for when, stanza in reversed(rows):
        message = xml.fromstring(stanza)
        body = next((one.text or "" for one in message if one.tag.endswith("body")), None)
        if body is not None:
            messages.append((when, bare(message.get("from")) or f"{name}@{DOMAIN}", bare(message.get("to")), body))
    return messages


# ---- logins and tokens ----

def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(name):
    """What Encke asks for: who it is, and that the target `xmpp` is all that they may reach."""
    claims = {"sub": name, "exp": int(time.time()) + TOKEN_SECONDS, "channels": {}, "tcp": ["xmpp"]}
    signed = ".".join(coded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{coded(hmac.digest(TOKEN_KEY, signed.encode(), 'sha256'))}"


def login_cookie(name):
    login = f"{name}.{int(time.time()) + LOGIN_SECONDS}"
    value = f"{login}.{hmac.digest(COOKIE_KEY, login.encode(), 'sha256').hex()}"
    return f"login={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={LOGIN_SECONDS}"


def logged_in(header):
    """The user of a `Cookie` header, if that is one of ours."""
    try:
        login, mac = http.cookies.SimpleCookie(header)["login"].value.rsplit(".", 1)
        name, end = login.rsplit(".", 1)
        is_ours = hmac.compare_digest(mac, hmac.digest(COOKIE_KEY, login.encode(), "sha256").hex())
        return name if is_ours and int(end) > time.time() else None
    except (KeyError, ValueError, TypeError, http.cookies.CookieError):
        return None


# ---- pages ----

def log_page(name):
    row = '<tr><td><time>{}</time></td><td class="from">{}</td><td class="to">{}</td><td class="body">{}</td></tr>'
    utc = lambda when: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))
    rows = "\n".join(row.format(utc(when), *map(html.escape, texts)) for when, *texts in log_of(name))
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Log of {html.escape(name)}</title>
<h1>Log of {html.escape(name)}</h1><p><a href="/">Chat</a></p>
<table><tr><th>when (UTC)</th><th>from</th><th>to</th><th>message</th></tr>
{rows}
</table></html>"""


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path in FILES:
            file, kind = FILES[path]
            return self.answer(200, kind, (FOLDER / file).read_text())
        name = logged_in(self.headers.get("Cookie"))
        if path not in ("/token", "/log"):
            return self.answer(404, "text/plain", "there is no such page\n")
        if not name:
            return self.answer(401, "text/plain", "log in first\n")
        return self.answer(200, "text/plain", token(name)) if path == "/token" else self.answer(200, "text/html", log_page(name))

    def do_POST(self):
        try:
            size = int(self.headers.get("Content-Length", ""))
            # A form of another site cannot send this type.
            if self.headers.get_content_type() != "application/json" or not 0 <= size <= BODY_BYTES_MAX:
                raise ValueError
            asked = json.loads(self.rfile.read(size))
            name, password = asked["name"], asked["password"]
            if not NAME.fullmatch(name) or not 8 <= len(password) <= 128:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            self.close_connection = True
            return self.refuse(400, "a name has up to 32 letters a-z, digits, dots and dashes, a password 8 to 128 characters")
        if self.path == "/accounts":
            if not make_account(name, password):
                return self.refuse(409, "the name is taken")
        elif self.path != "/login":
            return self.refuse(404, "there is no such page")
        elif not is_right(name, password):
            return self.refuse(403, "the name or the password is wrong")
        url = f"{ENCKE}/u/{urllib.parse.quote(name)}"
        told = json.dumps({"name": name, "domain": DOMAIN, "encke": ENCKE, "url": url})
        return self.answer(200, "application/json", told, [("Set-Cookie", login_cookie(name))])

    def refuse(self, status, reason):
        self.answer(status, "application/json", json.dumps({"error": reason}))

    def answer(self, status, kind, text, headers=()):
        body = text.encode()
        policy = f"default-src 'none'; script-src 'self' {ENCKE}; connect-src 'self' {ENCKE} {ENCKE.replace('http', 'ws', 1)}; style-src 'unsafe-inline'"
        self.send_response(status)
        for name, value in (("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
                            ("Content-Security-Policy", policy), ("X-Content-Type-Options", "nosniff"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    make_tables()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
