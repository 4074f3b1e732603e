//! Who may connect and who may publish.

use super::{Span, Variable};
use crate::config::BayeuxTrust;
use crate::config::values::{AuthMode, HookUrl, HostPattern, OriginPattern, Secret, TokenKey, list};
use crate::config::variable::Kind;

pub(super) const ROWS: &[Variable] = &[
    Variable {
        name: "ENCKE_TOKEN_KEY",
        default: None,
        summary: "HMAC secret, or path of a PEM public key: tokens become obligatory",
        details: "Makes a JWT obligatory for every user: `sub` must be the URL's user. A value that \
            begins with `/` or `./`, or ends in `.pem`, is the path of a public key (RSA: RS and PS algorithms, \
            EC P-256: ES256, P-384: ES384, Ed25519: EdDSA), which HUP reads again; anything else is the secret \
            for HS256, HS384 and HS512, of 32 bytes or more. Make one with `openssl rand -hex 32`: hexadecimal, because base64 may begin with \
            a `/`.",
        kind: Kind::Secret {
            allowed: "a secret of 32 to 1024 bytes, or the path of a PEM public key (begins with / or \
                ./, or ends in .pem)",
            place: |config, text| TokenKey::read(text).map(|key| config.token_key = Some(key)),
        },
    },
    Variable {
        name: "ENCKE_TOKEN_KEYS_URL",
        default: None,
        summary: "URL of the issuer's public keys (JWKS), instead of ENCKE_TOKEN_KEY",
        details: "For identity providers that change their keys: the `jwks_uri` of their `/.well-known/openid-configuration`. Keys \
            are fetched at the start, every `ENCKE_TOKEN_KEYS_PERIOD`, at HUP, and when a token names a `kid` that is not among them, \
            at most every 5 s; an answer has 10 s, 256 KiB and 64 keys. Until the first fetch succeeds the node runs, `/ready` is 503, \
            and tokens are refused with 503 `no-token-keys`; it is tried again after 1 s, then up to a minute. Keys that were fetched \
            stay in use while later fetches fail. Keys of unknown kinds or for other uses are passed over, and symmetric ones. No \
            redirects; plain http only on this machine. https trusts the system's authorities, or those of `SSL_CERT_FILE`. \
            `encke check` fetches the keys and says what it found.",
        kind: Kind::Url {
            allowed: "https://HOST[:PORT][/PATH][?QUERY], or http:// on loopback",
            place: |config, text| HookUrl::read_keys(text).map(|url| config.token_keys_url = Some(url)),
        },
    },
    Variable {
        name: "ENCKE_TOKEN_KEYS_PERIOD",
        default: Some("10m"),
        summary: "how often the issuer's keys are fetched",
        details: "A key that the issuer has withdrawn is good for so long still. New ones are fetched when a token names them.",
        kind: Kind::Span {
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
        details: "A token that has `aud` is meant for the services that it names, and others refuse it. Set this to what your \
            issuer puts there (`account`, a client id, a URL), several with commas. A token without `aud` is meant for everyone \
            and passes. `off` does not compare `aud`: only for an issuer that serves nobody else.",
        kind: Kind::Text {
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
        details: "For keys that several issuers share, as the tenants of an identity provider do. Compared as it stands, a slash \
            at its end included.",
        kind: Kind::Text {
            allowed: "the issuer, mostly a URL",
            place: |config, text| name(text).map(|issuer| config.token_issuer = Some(issuer)),
        },
    },
    Variable {
        name: "ENCKE_AUTH",
        default: None,
        summary: "token: tokens are obligatory; none: open to all, and meant so",
        details: "Guards against a node that is open to the network by accident. Unset, the key decides: \
            with one, tokens are obligatory; without one, the node starts only if every public address is \
            loopback. `token` refuses to start without a key. `none` says that anybody may connect as any \
            user, on any address; it refuses a key.",
        kind: Kind::Text {
            allowed: "token, none, or unset",
            place: |config, text| AuthMode::read(text).map(|mode| config.auth = Some(mode)),
        },
    },
    Variable {
        name: "ENCKE_API_KEY",
        default: None,
        summary: "key that backends show to use the API; obligatory off loopback",
        details: "Backends send it as `Authorization: Bearer KEY`; without it they get 401, and with a wrong one they get it a second later. Obligatory \
            if any address of `ENCKE_API_LISTEN` is neither loopback nor a Unix socket. Once set, it is \
            asked for on those too. 16 to 1024 visible ASCII characters, such as `openssl rand -hex 32` \
            makes.",
        kind: Kind::Secret {
            allowed: "16 to 1024 visible ASCII characters",
            place: |config, text| Secret::read_api_key(text).map(|key| config.api_key = Some(key)),
        },
    },
    Variable {
        name: "ENCKE_ORIGINS",
        default: Some(""),
        summary: "origins of foreign pages that may connect; empty: same origin only",
        details: "A browser says which page opens a connection. One of another origin gets 403 unless it \
            is listed here, on every transport. `https://*.example.com` is every host below `example.com`, \
            not `example.com` itself. `null` is what sandboxed frames send, and files in most browsers; \
            `file://` is what files send in web views. Either may be anybody's. `*` is any page whatever, whether it \
            says what it is or not; with tokens in cookies, a \
            foreign page can then read as the user who visits it. Programs that are no browsers send no \
            origin and are let in: this protects users from pages, not the node from programs.",
        kind: Kind::Text {
            allowed: "a comma-separated list of https://HOST[:PORT], https://*.DOMAIN[:PORT], null, file://; or * \
                alone; or empty",
            place: |config, text| origins(text).map(|all| config.origins = all),
        },
    },
    Variable {
        name: "ENCKE_HOSTS",
        default: Some(""),
        summary: "names by which browsers may call a node that only loopback protects",
        details: "A foreign name server can point its own name at the visitor's machine; a page of that name is then of \
            the same origin as a node that listens there. So a public listener on loopback without \
            `ENCKE_TOKEN_KEY` (and the private one without `ENCKE_API_KEY`) is called by an address, by `localhost`, \
            by a name without a dot, by a name of this list, or by the host of an origin in `ENCKE_ORIGINS`; any other `Host` gets 403 `host-refused`. \
            `*.example.com` is every name below `example.com`. Where names are listed, they bind the public listener \
            with a key and off loopback too. `*` lets it be called by any name.",
        kind: Kind::Text {
            allowed: "a comma-separated list of HOST, *.DOMAIN; or * alone; or empty",
            place: |config, text| hosts(text).map(|all| config.hosts = all),
        },
    },
    Variable {
        name: "ENCKE_BAYEUX_TRUST",
        default: Some("0"),
        summary: "1: whoever names a Bayeux client id is taken for that client",
        details: "Otherwise a message is taken only with a cookie (`BAYEUX_BROWSER`, `BAYEUX_SOCKET`) or the token of whoever made the \
            session, or on the WebSocket that it was made by, so that a stolen client id is of no use. Some clients keep no \
            cookies, and never get past the handshake without this: `aiocometd` where the host is a bare IP address, and \
            whatever is made of `curl`.",
        kind: Kind::Flag {
            place: |config, value| {
                config.bayeux_trust = if value { BayeuxTrust::ClientId } else { BayeuxTrust::Credentials };
            },
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
