//! Authentication: tokens, the API key, origins, hosts.

use super::{MINUTE, Span, Variable};
use crate::config::BayeuxTrust;
use crate::config::values::{AuthMode, HookUrl, HostPattern, OriginPattern, Secret, TokenKey, list};
use crate::config::variable::VariableKind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_TOKEN_KEY",
        default: None,
        summary: "HMAC secret, or path of a PEM public key: tokens become required",
        details: "Requires a JWT from every user: `sub` must be the URL's user. A value that \
            begins with `/` or `./`, or ends in `.pem`, is the path of a public key (RSA: RS and \
            PS algorithms, EC P-256: ES256, P-384: ES384, Ed25519: EdDSA), which HUP rereads; \
            anything else is the secret for HS256, HS384 and HS512, of 32 bytes or more. Make one \
            with `openssl rand -hex 32`: hexadecimal, because base64 may begin with a `/`.",
        kind: VariableKind::Secret {
            allowed: "a secret of 32 to 1024 bytes, or the path of a PEM public key (begins with / or \
                ./, or ends in .pem)",
            place: |config, text| TokenKey::read(text).map(|key| config.token_key = Some(key)),
        },
    },
    Variable {
        name: "ENCKE_TOKEN_KEYS_URL",
        default: None,
        summary: "URL of the issuer's public keys (JWKS), instead of ENCKE_TOKEN_KEY",
        details: "For identity providers that rotate their keys: the `jwks_uri` of their \
            `/.well-known/openid-configuration`. The node fetches the keys at the start, every \
            `ENCKE_TOKEN_KEYS_PERIOD`, at HUP, and when a token names an unknown `kid`, at most \
            every 5 s; an answer may take 10 s and hold 256 KiB and 64 keys. Until the first fetch \
            succeeds the node runs, `/ready` is 503, and tokens are refused with 503 \
            `no-token-keys`; the node retries after 1 s, growing to a minute. Fetched keys stay in \
            use while later fetches fail. Symmetric keys and those of unknown kinds or for other \
            uses are ignored. No redirects; plain http only on this machine. https trusts the \
            system's authorities, or those of `SSL_CERT_FILE`. `encke check` fetches the keys and \
            reports what it found.",
        kind: VariableKind::Url {
            allowed: "https://HOST[:PORT][/PATH][?QUERY], or http:// on loopback",
            place: |config, text| HookUrl::read_keys(text).map(|url| config.token_keys_url = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_TOKEN_KEYS_PERIOD",
        default: Some("10m"),
        summary: "how often the issuer's keys are fetched",
        details: "A key that the issuer has withdrawn stays valid for up to this long. New keys \
            are fetched when a token names them.",
        kind: VariableKind::Span {
            from: Span::from_secs(10),
            to: Span::from_secs(24 * 3600),
            zero: None,
            place: |config, value| config.token_keys_period = value,
        },
    },
    Variable {
        name: "ENCKE_TOKEN_AUDIENCE",
        default: Some("encke"),
        summary: "audiences, one of which a token's aud must name; off: any",
        details: "A token with `aud` is meant for the services that it names, and others refuse \
            it. Set this to the value that your issuer uses (`account`, a client id, a URL), \
            several with commas. A token without `aud` is meant for every service and passes. \
            `off` does not compare `aud`: only for an issuer that serves no other service.",
        kind: VariableKind::Text {
            allowed: "off, or a comma-separated list of audiences",
            place: |config, text| {
                config.token_audiences = if text == "off" { None } else { Some(list(text, name)?) };
                Ok(())
            },
        },
    },
    Variable {
        name: "ENCKE_TOKEN_ISSUER",
        default: None,
        summary: "what a token's iss must be; unset: not compared",
        details: "For keys that several issuers share, such as the tenants of an identity \
            provider. Compared literally, including a slash at the end.",
        kind: VariableKind::Text {
            allowed: "the issuer, usually a URL",
            place: |config, text| name(text).map(|issuer| config.token_issuer = Some(issuer)),
        },
    },
    Variable {
        name: "ENCKE_AUTH",
        default: None,
        summary: "token: tokens are required; none: open to all, on purpose",
        details: "Guards against a node that is open to the network by accident. If unset, the key \
            decides: with one, tokens are required; without one, the node starts only if every \
            public address is loopback. `token` refuses to start without a key. `none` lets \
            anybody connect as any user, on any address; it cannot be combined with a key.",
        kind: VariableKind::Text {
            allowed: "token, none, or unset",
            place: |config, text| AuthMode::read(text).map(|mode| config.auth = Some(mode)),
        },
    },
    Variable {
        name: "ENCKE_API_KEY",
        default: None,
        summary: "key that backends send to use the API; required off loopback",
        details: "Backends send it as `Authorization: Bearer KEY`; without it they get 401 at \
            once, with a wrong one after a second. Required if any address of `ENCKE_API_LISTEN` \
            is neither loopback nor a Unix socket. If set, those need it too. 16 to 1024 visible \
            ASCII characters, such as the output of `openssl rand -hex 32`.",
        kind: VariableKind::Secret {
            allowed: "16 to 1024 visible ASCII characters",
            place: |config, text| Secret::read_api_key(text).map(|key| config.api_key = Some(key)),
        },
    },
    Variable {
        name: "ENCKE_API_KEY_DELAY",
        default: Some("1s"),
        summary: "time before a wrong API key is refused",
        details: "So that guesses take time: at most 16 wrong keys wait at once in each shard, and a \
            further one closes the oldest connection. A missing key is refused at once.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: Span::from_secs(10),
            zero: None,
            place: |config, value| config.api_key_delay = value,
        },
    },
    Variable {
        name: "ENCKE_ORIGINS",
        default: Some(""),
        summary: "origins of foreign pages that may connect; empty: same origin only",
        details: "A browser sends the origin of the page that opens a connection. Another origin \
            than the node's own gets 403 unless it is listed here, on every transport. \
            `https://*.example.com` is every host below `example.com`, not `example.com` itself. \
            `null` is the origin of sandboxed frames, and of files in most browsers; `file://` is \
            that of files in web views. Any site can produce either. `*` is every page, with or \
            without an origin; with tokens in cookies, a foreign page can then read as the user \
            who visits it. Programs outside browsers send no origin and are accepted: this \
            protects users from pages, not the node from programs.",
        kind: VariableKind::Text {
            allowed: "a comma-separated list of https://HOST[:PORT], https://*.DOMAIN[:PORT], null, file://; or * \
                alone; or empty",
            place: |config, text| origins(text).map(|all| config.origins = all),
        },
    },
    Variable {
        name: "ENCKE_HOSTS",
        default: Some(""),
        summary: "host names accepted by a node that only loopback protects",
        details: "A foreign name server can point its own name to the visitor's machine; a page of \
            that name then has the same origin as a node that listens there. So a public listener \
            on loopback without `ENCKE_TOKEN_KEY` (and the private one without `ENCKE_API_KEY`) \
            accepts as `Host` only an address, `localhost`, a name without a dot, a name of this \
            list, or the host of an origin in `ENCKE_ORIGINS`; any other `Host` gets 403 \
            `host-refused`. `*.example.com` is every name below `example.com`. A list here also \
            applies to the public listener with a key and off loopback. `*` allows any name.",
        kind: VariableKind::Text {
            allowed: "a comma-separated list of HOST, *.DOMAIN; or * alone; or empty",
            place: |config, text| hosts(text).map(|all| config.hosts = all),
        },
    },
    Variable {
        name: "ENCKE_BAYEUX_TRUST",
        default: Some("0"),
        summary: "1: the client id alone authenticates a Bayeux client",
        details: "Otherwise the node accepts a message only with a cookie (`BAYEUX_BROWSER`, \
            `BAYEUX_SOCKET`) or the token of the client that created the session, or on the \
            WebSocket that created it, so that a stolen client id is useless. Some clients store \
            no cookies, and never get past the handshake without this: `aiocometd` if the host is \
            a bare IP address, and programs built on `curl`.",
        kind: VariableKind::Flag {
            place: |config, value| {
                config.bayeux_trust = if value { BayeuxTrust::ClientId } else { BayeuxTrust::Credentials };
            },
        },
    },
    Variable {
        name: "ENCKE_BAYEUX_FIRST_VISIT",
        default: Some("10s"),
        summary: "time after a Bayeux handshake in which its client counts as new",
        details: "A new client that does not return the handshake's cookie is told so, with the \
            advice not to retry, since another handshake would fail the same way. Later, a client \
            without the cookie counts as another one, and is advised to handshake. Also the time \
            in which a WebSocket without the cookie must name the new session, and the longest \
            time that it may have been open before the handshake.",
        kind: VariableKind::Span {
            from: Span::from_secs(1),
            to: MINUTE,
            zero: None,
            place: |config, value| config.bayeux_first_visit = value,
        },
    },
    Variable {
        name: "ENCKE_BAYEUX_SOCKET_WITHIN",
        default: Some("3s"),
        summary: "time after a handshake for a socket without the cookie",
        details: "Faye opens a WebSocket while the answer to its handshake is on the way, so this \
            socket cannot bring the cookie: the node accepts it from the handshake's address with \
            the same `User-Agent`. Three seconds are enough for a connection on a slow line. The \
            longer, the longer another program behind this address can use a stolen client id. \
            `ENCKE_BAYEUX_FIRST_VISIT` also applies.",
        kind: VariableKind::Span {
            from: Span::from_millis(100),
            to: MINUTE,
            zero: None,
            place: |config, value| config.bayeux_socket_within = value,
        },
    },
];

/// A name that a token's claim is compared with.
fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("has an empty name".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn hosts(text: &str) -> Result<Vec<HostPattern>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let all = list(text, HostPattern::read)?;
    if all.len() > 1 && all.contains(&HostPattern::Any) {
        return Err("has a * beside other names, though * allows all of them".to_owned());
    }
    Ok(all)
}

fn origins(text: &str) -> Result<Vec<OriginPattern>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let all = list(text, OriginPattern::read)?;
    if all.len() > 1 && all.contains(&OriginPattern::Any) {
        return Err("has a * beside other origins, though * allows all of them".to_owned());
    }
    Ok(all)
}
