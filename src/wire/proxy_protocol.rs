//! The PROXY protocol, versions 1 and 2 (`proxy-protocol.txt` of haproxy): the address of the
//! client behind a load balancer.
//!
//! The listener decides whether to trust the header: it must come first, or is not expected at all.
//! Only TCP over IPv4 and IPv6 yields an address. Of the TLVs only the checksum is read; it is
//! verified where present.

use std::net::{IpAddr, SocketAddr};

use crate::wire::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX};

/// The verdict on the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The header has not ended: call again when there are more bytes.
    Partial,
    /// A whole header.
    Complete {
        /// The client's address. `None` if the proxy connects for itself (a health check), does not
        /// know the client, or its client is on a Unix socket.
        source: Option<SocketAddr>,
        /// The header's bytes; the client's bytes follow.
        len: usize,
    },
}

/// The reasons why bytes are not a PROXY header. There is no answer: the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyHeaderReject {
    /// Neither version's signature: a client that did not connect through the proxy.
    NotProxy,
    /// A version 1 line that does not end within 107 bytes.
    LineTooLong,
    /// A malformed version 1 line.
    BadLine,
    /// A version 2 header with another version, or an unknown command.
    BadCommand,
    /// A version 2 address family or transport other than TCP, Unix streams and unspecified.
    BadFamily,
    /// A version 2 header that is shorter than its addresses, or whose TLVs do not fill it.
    BadLength,
    /// A version 2 header over the bound.
    TooLong,
    /// The checksum of a version 2 header is wrong.
    BadChecksum,
}

impl ProxyHeaderReject {
    /// The cause in kebab-case, the label of its counter.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotProxy => "proxy-header-missing",
            Self::LineTooLong => "proxy-line-too-long",
            Self::BadLine => "proxy-bad-line",
            Self::BadCommand => "proxy-bad-command",
            Self::BadFamily => "proxy-bad-family",
            Self::BadLength => "proxy-bad-length",
            Self::TooLong => "proxy-header-too-long",
            Self::BadChecksum => "proxy-bad-checksum",
        }
    }

    /// One sentence for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotProxy => {
                "the connection does not begin with a PROXY header, which this listener requires"
            }
            Self::LineTooLong => "the PROXY line does not end within 107 bytes",
            Self::BadLine => {
                "the PROXY line is malformed; it is `PROXY TCP4|TCP6 source destination port port`"
            }
            Self::BadCommand => {
                "the PROXY header has an unknown version or command; version 2 with LOCAL or PROXY is supported"
            }
            Self::BadFamily => {
                "the PROXY header is for an unknown transport; TCP and Unix streams are supported"
            }
            Self::BadLength => "the PROXY header's length does not match its contents",
            Self::TooLong => "the PROXY header is too long; it may have 4096 bytes",
            Self::BadChecksum => "the PROXY header's checksum is wrong",
        }
    }
}

/// Decodes the header at the start of `buf`.
pub fn decode(buf: &[u8]) -> Result<Decoded, ProxyHeaderReject> {
    if begins_alike(buf, V2_SIGNATURE) {
        if buf.len() < V2_FIXED { Ok(Decoded::Partial) } else { decode_v2(buf) }
    } else if begins_alike(buf, V1_SIGNATURE) {
        decode_v1(buf)
    } else {
        Err(ProxyHeaderReject::NotProxy)
    }
}

/// Whether `buf` begins with the signature of either version, and so is no request.
pub fn is_announced(buf: &[u8]) -> bool {
    buf.starts_with(V1_SIGNATURE) || buf.starts_with(V2_SIGNATURE)
}

/// Whether one is a prefix of the other.
fn begins_alike(buf: &[u8], signature: &[u8]) -> bool {
    let len = buf.len().min(signature.len());
    buf[..len] == signature[..len]
}

fn decode_v1(buf: &[u8]) -> Result<Decoded, ProxyHeaderReject> {
    let window = &buf[..buf.len().min(PROXY_V1_BYTES_MAX)];
    let Some(feed) = memchr::memchr(b'\n', window) else {
        return if window.len() == PROXY_V1_BYTES_MAX {
            Err(ProxyHeaderReject::LineTooLong)
        } else {
            Ok(Decoded::Partial)
        };
    };
    let line = window[..feed].strip_suffix(b"\r").ok_or(ProxyHeaderReject::BadLine)?;
    let line = str::from_utf8(line).map_err(|_| ProxyHeaderReject::BadLine)?;
    let mut words = line.split(' ').skip(1);
    let source = match words.next() {
        // The rest of the line must be ignored.
        Some("UNKNOWN") => None,
        // Proxies that listen on both families name one and send addresses of the other, or of
        // both.
        Some("TCP4" | "TCP6") => Some(v1_source(words)?),
        Some(_) | None => return Err(ProxyHeaderReject::BadLine),
    };
    Ok(Decoded::Complete { source, len: feed + 1 })
}

/// The four words after the family: two addresses, two ports.
fn v1_source<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<SocketAddr, ProxyHeaderReject> {
    let mut word = || words.next().ok_or(ProxyHeaderReject::BadLine);
    let address = |word: &str| word.parse().map_err(|_| ProxyHeaderReject::BadLine);
    let source = IpAddr::to_canonical(&address(word()?)?);
    address(word()?)?;
    let port = v1_port(word()?)?;
    v1_port(word()?)?;
    if words.next().is_some() { Err(ProxyHeaderReject::BadLine) } else { Ok(SocketAddr::new(source, port)) }
}

/// Plain decimal without a sign and without leading zeros.
fn v1_port(word: &str) -> Result<u16, ProxyHeaderReject> {
    let canonical = word == "0" || word.starts_with(|first: char| ('1'..='9').contains(&first));
    if canonical {
        word.parse().map_err(|_| ProxyHeaderReject::BadLine)
    } else {
        Err(ProxyHeaderReject::BadLine)
    }
}

/// `buf` begins with at least the fixed part: signature, version and command, family, length.
fn decode_v2(buf: &[u8]) -> Result<Decoded, ProxyHeaderReject> {
    let (command, family) = (buf[12], buf[13]);
    let len = V2_FIXED + usize::from(u16::from_be_bytes([buf[14], buf[15]]));
    if command != V2_LOCAL && command != V2_PROXY {
        return Err(ProxyHeaderReject::BadCommand);
    }
    if len > PROXY_V2_BYTES_MAX {
        return Err(ProxyHeaderReject::TooLong);
    }
    let Some(header) = buf.get(..len) else { return Ok(Decoded::Partial) };
    if command == V2_LOCAL {
        // Family and addresses must be ignored.
        return Ok(Decoded::Complete { source: None, len });
    }
    let body = &header[V2_FIXED..];
    let (source, addresses) = match family {
        // Unspecified: addresses and TLVs cannot be distinguished.
        0x00 => return Ok(Decoded::Complete { source: None, len }),
        0x11 => (Some(v2_source::<4>(body)?), 12),
        0x21 => (Some(v2_source::<16>(body)?), 36),
        0x31 => (None, 216),
        _ => return Err(ProxyHeaderReject::BadFamily),
    };
    check_tlvs(header, V2_FIXED + addresses)?;
    Ok(Decoded::Complete { source, len })
}

/// Source address, destination address, source port, destination port.
fn v2_source<const N: usize>(body: &[u8]) -> Result<SocketAddr, ProxyHeaderReject>
where
    IpAddr: From<[u8; N]>,
{
    let address: [u8; N] = *body.first_chunk().ok_or(ProxyHeaderReject::BadLength)?;
    let [high, low, ..] = body.get(2 * N..2 * N + 4).ok_or(ProxyHeaderReject::BadLength)? else {
        return Err(ProxyHeaderReject::BadLength);
    };
    Ok(SocketAddr::new(IpAddr::from(address).to_canonical(), u16::from_be_bytes([*high, *low])))
}

/// Walks the TLVs from `start` to the header's end; they must fill it.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), ProxyHeaderReject> {
    let mut at = start;
    while at < header.len() {
        let [kind, high, low] = *header[at..].first_chunk().ok_or(ProxyHeaderReject::BadLength)?;
        let (from, len) = (at + 3, usize::from(u16::from_be_bytes([high, low])));
        let value = header.get(from..from + len).ok_or(ProxyHeaderReject::BadLength)?;
        if kind == TLV_CRC32C {
            let given = *value.first_chunk().filter(|_| len == 4).ok_or(ProxyHeaderReject::BadLength)?;
            // The checksum is over the whole header, with its own four bytes as zero.
            let state = crc32c(crc32c(crc32c(!0, &header[..from]), &[0; 4]), &header[from + 4..]);
            if !state != u32::from_be_bytes(given) {
                return Err(ProxyHeaderReject::BadChecksum);
            }
        }
        at = from + len;
    }
    if at == header.len() { Ok(()) } else { Err(ProxyHeaderReject::BadLength) }
}

/// One step of CRC-32C (Castagnoli) per bit: headers are short, and there is one per connection.
fn crc32c(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, &byte| {
        (0..8).fold(state ^ u32::from(byte), |state, _| {
            if state & 1 == 1 { state >> 1 ^ 0x82f6_3b78 } else { state >> 1 }
        })
    })
}

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses of version 2.
const V2_FIXED: usize = 16;

/// Version 2 in the high half, the command in the low one.
const V2_LOCAL: u8 = 0x20;
const V2_PROXY: u8 = 0x21;

/// `PP2_TYPE_CRC32C`.
const TLV_CRC32C: u8 = 0x03;

#[cfg(test)]
mod tests;
