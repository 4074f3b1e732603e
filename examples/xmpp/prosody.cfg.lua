-- Prosody with its accounts and its archive in the database of the web app (app.py). It listens on loopback alone: Encke is
-- its way to the world, and encrypts what goes there.
local function var(name) return (assert(os.getenv(name), name .. " is not set")) end

data_path = var("PROSODY_DATA")
pidfile = var("PROSODY_DATA") .. "/prosody.pid"
interfaces = { "127.0.0.1" }
c2s_ports = { tonumber(var("PROSODY_PORT")) }
modules_enabled = { "saslauth", "roster", "disco", "ping", "mam" }
modules_disabled = { "tls", "s2s", "http", "offline" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true

storage = "sql"
sql = { driver = "SQLite3", database = var("APP_DATABASE") }
-- The app's accounts have what this needs: salt, iterations and the two keys of SCRAM.
authentication = "internal_hashed"
-- Of all users, whatever their clients ask for.
default_archive_policy = true
archive_expires_after = "1y"

log = { { levels = { min = "info" }, to = "console" } }
VirtualHost(var("APP_DOMAIN"))
