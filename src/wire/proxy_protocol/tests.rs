//! Both versions as balancers send them, cut anywhere, and bent.

use super::*;

fn complete(source: Option<&str>, len: usize) -> Decoded {
    Decoded::Complete { source: source.map(|text| text.parse().expect("an address")), len }
}

/// Every proper prefix is partial, and bytes after the header are ignored.
fn check_whole(header: &[u8], source: Option<&str>) {
    for cut in 0..header.len() {
        assert_eq!(decode(&header[..cut]), Ok(Decoded::Partial), "cut at {cut}");
    }
    let followed = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
    assert_eq!(decode(&followed), Ok(complete(source, header.len())));
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("short").to_be_bytes();
    [V2_SIGNATURE, &[command, family], &len, body].concat()
}

const V4_BODY: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0xdb, 0xed, 0, 80];

/// A header with a checksum TLV at its end.
fn summed() -> Vec<u8> {
    let mut header = v2(0x21, 0x11, &[V4_BODY, &[3, 0, 4, 0, 0, 0, 0]].concat());
    let sum = (!crc32c(!0, &header)).to_be_bytes();
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum);
    header
}

#[test]
fn version_1_names_the_client() {
    check_whole(b"PROXY TCP4 192.0.2.7 10.0.0.1 56301 80\r\n", Some("192.0.2.7:56301"));
    check_whole(b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", Some("[2001:db8::7]:0"));
    check_whole(b"PROXY UNKNOWN\r\n", None);
    check_whole(b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None);
}

#[test]
fn version_1_may_mix_the_families() {
    for (line, source) in [
        ("TCP4 ::1 ::1 1 1", "[::1]:1"),
        ("TCP4 192.0.2.7 2001:db8::2 1 1", "192.0.2.7:1"),
        ("TCP4 2001:db8::7 192.0.2.1 1 1", "[2001:db8::7]:1"),
        ("TCP6 1.2.3.4 ::1 1 1", "1.2.3.4:1"),
        ("TCP6 2001:db8::7 10.0.0.1 1 1", "[2001:db8::7]:1"),
        ("TCP6 1.2.3.4 10.0.0.1 1 1", "1.2.3.4:1"),
        ("TCP6 ::ffff:192.0.2.7 ::ffff:10.0.0.1 1 1", "192.0.2.7:1"),
        ("TCP4 ::ffff:192.0.2.7 10.0.0.1 1 1", "192.0.2.7:1"),
    ] {
        check_whole(format!("PROXY {line}\r\n").as_bytes(), Some(source));
    }
}

#[test]
fn version_1_is_bounded() {
    let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), PROXY_V1_BYTES_MAX);
    check_whole(longest, None);
    let long = [b"PROXY UNKNOWN ", [b'x'; 200].as_slice()].concat();
    assert_eq!(decode(&long[..106]), Ok(Decoded::Partial));
    assert_eq!(decode(&long[..107]), Err(ProxyHeaderReject::LineTooLong));
}

#[test]
fn malformed_version_1_lines_are_refused() {
    for bad in [
        "PROXY \r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 ::1 1.2.3 1 1\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 1 1\r\n",
        "PROXY TCP6 [::1] ::1 1 1\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
    ] {
        assert_eq!(decode(bad.as_bytes()), Err(ProxyHeaderReject::BadLine), "{bad:?}");
    }
}

#[test]
fn version_2_names_the_client() {
    check_whole(&v2(0x21, 0x11, V4_BODY), Some("192.0.2.7:56301"));
    let mut body = [0; 36];
    body[15] = 1;
    body[32..34].copy_from_slice(&443_u16.to_be_bytes());
    check_whole(&v2(0x21, 0x21, &body), Some("[::1]:443"));
    body[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
    check_whole(&v2(0x21, 0x21, &body), Some("192.0.2.7:443"));
}

#[test]
fn version_2_without_an_address_is_fine() {
    check_whole(&v2(0x20, 0x00, b""), None);
    check_whole(&v2(0x20, 0xff, b"whatever"), None);
    check_whole(&v2(0x21, 0x00, b"whatever"), None);
    check_whole(&v2(0x21, 0x31, &[0; 216]), None);
}

#[test]
fn tlvs_are_skipped_but_must_fill_the_header() {
    let with = |tlvs: &[u8]| v2(0x21, 0x11, &[V4_BODY, tlvs].concat());
    check_whole(&with(&[0xea, 0, 2, 1, 2, 4, 0, 0]), Some("192.0.2.7:56301"));
    for bad in [&[4][..], &[4, 0], &[4, 0, 1], &[4, 0xff, 0xff, 0], &[3, 0, 3, 0, 0, 0]] {
        assert_eq!(decode(&with(bad)), Err(ProxyHeaderReject::BadLength), "{bad:?}");
    }
}

#[test]
fn the_checksum_is_verified() {
    assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    let good = summed();
    check_whole(&good, Some("192.0.2.7:56301"));
    for at in (V2_FIXED..V2_FIXED + 12).chain(good.len() - 4..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(decode(&bad), Err(ProxyHeaderReject::BadChecksum), "byte {at}");
    }
}

#[test]
fn malformed_version_2_headers_are_refused() {
    assert_eq!(decode(&v2(0x11, 0x11, V4_BODY)), Err(ProxyHeaderReject::BadCommand));
    assert_eq!(decode(&v2(0x22, 0x11, V4_BODY)), Err(ProxyHeaderReject::BadCommand));
    assert_eq!(decode(&v2(0x21, 0x12, V4_BODY)), Err(ProxyHeaderReject::BadFamily));
    assert_eq!(decode(&v2(0x21, 0x41, V4_BODY)), Err(ProxyHeaderReject::BadFamily));
    assert_eq!(decode(&v2(0x21, 0x11, &V4_BODY[1..])), Err(ProxyHeaderReject::BadLength));
    assert_eq!(decode(&v2(0x21, 0x31, &[0; 215])), Err(ProxyHeaderReject::BadLength));
    assert_eq!(decode(&v2(0x20, 0, &[0; 4081])[..16]), Err(ProxyHeaderReject::TooLong));
    check_whole(&v2(0x20, 0, &[0; 4080]), None);
}

#[test]
fn other_protocols_are_recognised_at_their_first_differing_byte() {
    for bad in
        ["G", "PROXY\t", "PRI * HTTP/2.0", "\r\n\r\nG", "\r\n\r\n\0\r\nQUIT\r", "proxy", "\x16\x03\x01"]
    {
        assert_eq!(decode(bad.as_bytes()), Err(ProxyHeaderReject::NotProxy), "{bad:?}");
    }
}
