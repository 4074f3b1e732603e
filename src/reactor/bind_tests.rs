//! Binding against the real kernel, on loopback.

use std::{
    env, io,
    net::{TcpListener, TcpStream},
    process,
};

use super::*;

fn tcp_config(listen: &str) -> Config {
    Config { listen: vec![at(listen)], api_listen: vec![], ..Config::default() }
}

fn at(address: &str) -> Listen {
    Listen::At(address.parse().unwrap())
}

/// A separate path for each test; the socket creates and removes the file.
fn socket_path(test: &str) -> PathBuf {
    env::temp_dir().join(format!("encke-{}-{test}.sock", process::id()))
}

fn unix_config(path: &Path) -> Config {
    Config { listen: vec![], api_listen: vec![ApiListen::Unix(path.to_owned())], ..Config::default() }
}

#[test]
fn all_shards_share_the_port_that_the_kernel_chose_for_the_first() {
    let bound = bind(&tcp_config("127.0.0.1:0"), 3).unwrap();
    assert_ne!(bound.public[0].port(), 0);
    assert_eq!(bound.shards.len(), 3);
    for shard in &bound.shards {
        let [(ListenerKind::Public, Listener::Tcp(listener))] = &shard[..] else {
            panic!("one public listener each")
        };
        assert_eq!(listener.local_addr().unwrap(), bound.public[0]);
    }
}

#[test]
fn an_address_in_use_is_named_with_its_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let fault = bind(&tcp_config(&address.to_string()), 2).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::AddrInUse);
    assert!(fault.to_string().contains(&format!("listen at {address} (ENCKE_LISTEN)")), "{fault}");
}

#[test]
fn a_second_node_cannot_share_the_port_of_the_first_by_mistake() {
    let first = bind(&tcp_config("127.0.0.1:0"), 2).unwrap();
    let fault = bind(&tcp_config(&first.public[0].to_string()), 2).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::AddrInUse);
}

#[test]
fn accepted_connections_inherit_the_options_of_their_listener() {
    let config = Config {
        tcp_user_timeout: Some(crate::base::ticks::Span::from_millis(12_345)),
        tcp_notsent_lowat: Some(4321),
        tcp_keepalive: Some(crate::base::ticks::Span::from_secs(77)),
        send_buffer: Some(50_000),
        ..tcp_config("127.0.0.1:0")
    };
    let (sockets, address) = tcp_group(&mut Tuning::default(), &config, &config.listen[0], 1).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    let (accepted, _) = sockets[0].accept().unwrap();
    assert!(accepted.tcp_nodelay().unwrap());
    assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(Duration::from_millis(12_345)));
    assert_eq!(accepted.tcp_notsent_lowat().unwrap(), 4321);
    assert!(accepted.keepalive().unwrap());
    assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
    assert_eq!(accepted.send_buffer_size().unwrap(), 100_000, "Linux doubles it for its own overhead");
}

#[test]
fn any_address_takes_both_families() {
    let config = Config { listen: vec![Listen::Any { port: 0 }], api_listen: vec![], ..Config::default() };
    let bound = bind(&config, 2).unwrap();
    let port = bound.public[0].port();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    if bound.public[0].is_ipv6() && TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", port)).unwrap();
    }
}

#[test]
fn an_ipv6_address_leaves_ipv4_alone() {
    let Ok(bound) = bind(&tcp_config("[::]:0"), 1) else { return };
    let port = bound.public[0].port();
    let refused = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_unix_socket_is_for_owner_and_group_and_vanishes_with_the_node() {
    let path = socket_path("mode");
    let bound = bind(&unix_config(&path), 2).unwrap();
    assert_eq!(bound.api, [format!("unix:{}", path.display())]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(
        bound.shards.iter().all(|shard| matches!(shard[..], [(ListenerKind::Private, Listener::Unix(_))]))
    );
    UnixStream::connect(&path).unwrap();
    drop(bound);
    assert!(!path.exists());
}

#[test]
fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
    let path = socket_path("stale");
    drop(UnixListener::bind(&path).unwrap());
    let bound = bind(&unix_config(&path), 1).unwrap();
    let fault = bind(&unix_config(&path), 1).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::AddrInUse);
    UnixStream::connect(&path).unwrap();
    drop(bound);
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let path = socket_path("file");
    fs::write(&path, b"precious").unwrap();
    let fault = bind(&unix_config(&path), 1).unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_successors_socket_is_not_removed_with_ours() {
    let path = socket_path("successor");
    let bound = bind(&unix_config(&path), 1).unwrap();
    fs::remove_file(&path).unwrap();
    // An open file prevents the file system from reusing the inode number.
    let other = socket_path("successor-other");
    fs::write(&other, b"").unwrap();
    let successor = UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists());
    drop(successor);
    fs::remove_file(&path).unwrap();
    fs::remove_file(&other).unwrap();
}

#[test]
fn an_option_that_the_kernel_lacks_is_warned_of_once_and_gone_without() {
    let mut tuning = Tuning::default();
    let lacks = || Err(io::Error::from_raw_os_error(92));
    tuning.note("TCP_NODELAY", "ENCKE_TCP_NODELAY", Ok(()));
    for _ in 0..3 {
        tuning.note("TCP_USER_TIMEOUT", "ENCKE_TCP_USER_TIMEOUT", lacks());
        tuning.note("SO_REUSEADDR", "", lacks());
    }
    assert_eq!(tuning.warned, ["TCP_USER_TIMEOUT", "SO_REUSEADDR"]);
}

#[test]
fn an_option_that_is_needed_is_named_with_the_way_out() {
    let error = needed("SO_REUSEPORT", "set ENCKE_SHARDS=1")(io::Error::from_raw_os_error(92));
    let text = error.to_string();
    assert!(text.contains("SO_REUSEPORT") && text.ends_with("set ENCKE_SHARDS=1"), "{text}");
}
