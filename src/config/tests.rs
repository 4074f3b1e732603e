//! Tests of the whole way from variables to a configuration, and of the table itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::*;

const SECRET: &str = "hush-hush-hush-hush-hush-hush-hush";

fn problems(vars: &[(&str, &str)]) -> Vec<String> {
    match read(vars.iter().copied()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn config(vars: &[(&str, &str)]) -> Config {
    Config::from_vars(vars.iter().copied()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn an_empty_environment_makes_the_defaults() {
    let config = config(&[]);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    assert_eq!(config.heartbeat, Span::from_secs(25));
    assert_eq!(config.message_bytes, 256 * 1024);
    assert_eq!(config.sessions, 1_000_000);
    assert_eq!((config.shards, config.connections), (None, None));
    assert_eq!(config.tcp_user_timeout, Some(Span::from_secs(30)));
    assert_eq!(config.send_buffer, None);
    assert!(config.tcp_nodelay && config.proxy_protocol == ProxyProtocol::Off);
    assert!(config.origins.is_empty() && config.listen.iter().all(Listen::is_loopback));
}

#[test]
fn every_default_is_accepted_as_a_given_value_and_changes_nothing() {
    for variable in table::all() {
        let Some(default) = variable.default else { continue };
        let given = config(&[(variable.name, default)]);
        assert_eq!(format!("{given:?}"), format!("{:?}", Config::default()), "{}", variable.name);
    }
}

#[test]
fn every_variable_reaches_a_field_of_its_own() {
    let others = [
        ("ENCKE_LISTEN", "127.0.0.1:9"),
        ("ENCKE_API_LISTEN", "unix:/run/encke.sock"),
        ("ENCKE_XMLSOCKET_LISTEN", "127.0.0.1:9"),
        ("ENCKE_PROXY_PROTOCOL", "1"),
        ("ENCKE_API_PROXY_PROTOCOL", "1"),
        ("ENCKE_BAYEUX_TRUST", "1"),
        ("ENCKE_SOCKJS_CLIENT", "/sockjs.js"),
        ("ENCKE_SOCKJS_WEBSOCKET", "0"),
        ("ENCKE_SOCKJS_COOKIE", "1"),
        ("ENCKE_SOCKJS_TEST", "1"),
        ("ENCKE_GZIP", "1"),
        ("ENCKE_TOKEN_KEY", SECRET),
        ("ENCKE_TOKEN_KEYS_URL", "https://id.example/jwks"),
        ("ENCKE_TOKEN_AUDIENCE", "account"),
        ("ENCKE_TOKEN_ISSUER", "https://id.example/"),
        ("ENCKE_NODES", "n1=https://one.example,n2=https://two.example"),
        ("ENCKE_NODE", "1/1"),
        ("ENCKE_AUTH", "none"),
        ("ENCKE_API_KEY", SECRET),
        ("ENCKE_ORIGINS", "https://example.com"),
        ("ENCKE_HOSTS", "example.com"),
        ("ENCKE_SERVICE_HOOK", "http://127.0.0.1:9/"),
        ("ENCKE_POLICY_HOOK", "http://127.0.0.1:9/"),
        ("ENCKE_PIPE_HOOK", "http://127.0.0.1:9/"),
        ("ENCKE_HOOK_KEY", SECRET),
        ("ENCKE_TCP_NODELAY", "0"),
        ("ENCKE_TCP_TARGETS", "irc=127.0.0.1:6667"),
        ("ENCKE_TCP_ALLOW", "192.0.2.0/24=22"),
        ("ENCKE_TCP_WEBIRC_PASSWORD", "secret"),
        ("ENCKE_LOG_LEVEL", "debug"),
        ("ENCKE_LOG_FORMAT", "json"),
    ];
    let mut seen = vec![format!("{:?}", Config::default())];
    for variable in table::all() {
        let range_end = match variable.kind {
            variable::VariableKind::Span { from, .. } | variable::VariableKind::SpanOrAuto { from, .. } => {
                units::spell_span(from + Span::from_millis(100))
            }
            variable::VariableKind::Bytes { from, .. } => units::spell_bytes(from + 1),
            variable::VariableKind::Count { from, .. } | variable::VariableKind::CountOrAuto { from, .. } => {
                (from + 1).to_string()
            }
            variable::VariableKind::Flag { .. }
            | variable::VariableKind::Text { .. }
            | variable::VariableKind::Url { .. }
            | variable::VariableKind::Secret { .. } => {
                others.iter().find(|(name, _)| *name == variable.name).unwrap().1.to_owned()
            }
        };
        let mut config = Config::default();
        variable.place(&mut config, &range_end).unwrap();
        let shown = format!("{config:?}");
        assert!(!seen.contains(&shown), "{}={range_end} changes nothing, or another's field", variable.name);
        seen.push(shown);
    }
}

#[test]
fn the_ends_of_every_range_are_allowed_and_what_lies_beyond_is_not() {
    for variable in table::all() {
        let (inside, outside): (Vec<String>, Vec<String>) = match variable.kind {
            variable::VariableKind::Span { from, to, zero, .. } => {
                let (from, to) = (from.as_millis(), to.as_millis());
                let below = from.checked_sub(1).filter(|below| zero.is_none() || *below > 0);
                let ms = |n: u64| format!("{n}ms");
                (vec![ms(from), ms(to)], below.into_iter().chain([to + 1]).map(ms).collect())
            }
            variable::VariableKind::SpanOrAuto { from, to, .. } => {
                let (from, to) = (from.as_millis(), to.as_millis());
                let ms = |n: u64| format!("{n}ms");
                (vec![ms(from), ms(to)], from.checked_sub(1).into_iter().chain([to + 1]).map(ms).collect())
            }
            variable::VariableKind::Bytes { from, to, zero, .. } => {
                let below = from.checked_sub(1).filter(|below| zero.is_none() || *below > 0);
                let bytes = |n: usize| format!("{n}B");
                (vec![bytes(from), bytes(to)], below.into_iter().chain([to + 1]).map(bytes).collect())
            }
            variable::VariableKind::Count { from, to, .. }
            | variable::VariableKind::CountOrAuto { from, to, .. } => {
                let text = |n: usize| n.to_string();
                (
                    vec![text(from), text(to)],
                    from.checked_sub(1).into_iter().chain([to + 1]).map(text).collect(),
                )
            }
            variable::VariableKind::Flag { .. } => {
                (vec!["0".into(), "1".into()], vec!["2".into(), "true".into()])
            }
            variable::VariableKind::Text { .. }
            | variable::VariableKind::Url { .. }
            | variable::VariableKind::Secret { .. } => {
                continue;
            }
        };
        let mut config = Config::default();
        for text in inside {
            assert_eq!(variable.place(&mut config, &text), Ok(()), "{}={text}", variable.name);
        }
        for text in outside {
            assert!(variable.place(&mut config, &text).is_err(), "{}={text}", variable.name);
        }
    }
}

#[test]
fn the_table_is_well_kept() {
    let names: Vec<_> = table::all().map(|variable| variable.name).collect();
    for (i, variable) in table::all().enumerate() {
        assert!(!names[..i].contains(&variable.name), "{} twice", variable.name);
        let is_plain = |b: u8| b.is_ascii_uppercase() || b == b'_';
        assert!(
            variable.name.starts_with("ENCKE_") && variable.name.bytes().all(is_plain),
            "{}",
            variable.name
        );
        assert!(!variable.summary.ends_with('.') && variable.details.ends_with('.'), "{}", variable.name);
        assert!(!variable.details.contains("  ") && !variable.details.contains('\n'), "{}", variable.name);
        // Every variable that the page mentions must exist.
        for text in [variable.summary, variable.details] {
            let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
            for word in words.filter(|word| word.starts_with("ENCKE_") && !word.ends_with('_')) {
                assert!(names.contains(&word), "{} speaks of {word}", variable.name);
            }
        }
    }
}

#[test]
fn every_line_of_the_help_fits_a_terminal() {
    for line in help().lines() {
        assert!(line.chars().count() <= 110, "{}: {line}", line.chars().count());
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(&[
        ("ENCKE_HEARTBAET", "25s"),
        ("ENCKE_POLL_HOLD", "55"),
        ("ENCKE_BATCH", "0"),
        ("ENCKE_MESSAGE_BYTES", "2MiB"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert_eq!(found[0], "ENCKE_HEARTBAET: no such variable; the nearest name is ENCKE_HEARTBEAT");
    assert_eq!(
        found[1],
        "ENCKE_POLL_HOLD=\"55\": a duration needs its unit (ms, s, m, h), as in 25s; allowed: 1s to 1h"
    );
    assert_eq!(found[2], "ENCKE_BATCH=\"0\": too small; allowed: 1 to 100_000");
    assert!(found[3].starts_with("ENCKE_MESSAGE_BYTES must be at most ENCKE_BODY_BYTES"), "{}", found[3]);
    assert!(found[4].starts_with("ENCKE_CHANNEL_BYTES must be at least ENCKE_MESSAGE_BYTES"), "{}", found[4]);
    assert!(found[3].ends_with("; now ENCKE_MESSAGE_BYTES=2MiB, ENCKE_BODY_BYTES=1MiB by default"));
}

#[test]
fn a_bad_value_is_not_reported_a_second_time_by_a_rule() {
    assert_eq!(problems(&[("ENCKE_SESSION_GRACE", "60"), ("ENCKE_HEARTBEAT", "2m")]).len(), 1);
}

#[test]
fn combinations_that_cannot_work_are_refused_by_both_names() {
    let cases: &[&[(&str, &str)]] = &[
        &[("ENCKE_SESSION_GRACE", "25s"), ("ENCKE_HEARTBEAT", "25s")],
        &[("ENCKE_CHANNEL_AGE", "59s"), ("ENCKE_SESSION_GRACE", "1m")],
        &[("ENCKE_MESSAGE_BYTES", "2KiB"), ("ENCKE_BODY_BYTES", "1KiB")],
        &[("ENCKE_CHANNEL_BYTES", "4KiB"), ("ENCKE_MESSAGE_BYTES", "5KiB")],
        &[("ENCKE_MEMORY", "512KiB"), ("ENCKE_CHANNEL_BYTES", "1MiB")],
        &[("ENCKE_MEMORY", "2MiB"), ("ENCKE_SHARDS", "3")],
        &[("ENCKE_MAILBOX", "64"), ("ENCKE_BATCH", "65")],
        &[("ENCKE_CONNECTIONS", "3"), ("ENCKE_SHARDS", "4")],
        &[("ENCKE_AUTH", "none"), ("ENCKE_TOKEN_KEY", SECRET)],
        &[("ENCKE_AUTH", "none"), ("ENCKE_TOKEN_KEYS_URL", "https://id.example/jwks")],
        &[("ENCKE_TOKEN_KEY", SECRET), ("ENCKE_TOKEN_KEYS_URL", "https://id.example/jwks")],
        &[("ENCKE_LISTEN", "127.0.0.1:8081")],
        &[("ENCKE_LISTEN", "[::1]:8081"), ("ENCKE_API_LISTEN", "127.0.0.1:1,[::1]:8081")],
    ];
    for vars in cases {
        let found = problems(vars);
        assert_eq!(found.len(), 1, "{vars:?}: {found:#?}");
        for (name, _) in *vars {
            assert!(found[0].contains(name), "{name} is not in {}", found[0]);
        }
    }
}

#[test]
fn a_hook_may_not_outlast_a_session_but_without_one_the_bound_is_idle() {
    let timeout = ("ENCKE_HOOK_TIMEOUT", "60001ms");
    let (longest, grace) = (("ENCKE_HOOK_TIMEOUT", "60s"), ("ENCKE_SESSION_GRACE", "59s"));
    assert_eq!(problems(&[timeout]).len(), 1, "beyond the variable's own range");
    assert_eq!(problems(&[longest, grace]), [""; 0]);
    for hook in ["ENCKE_SERVICE_HOOK", "ENCKE_POLICY_HOOK"] {
        let hook = (hook, "http://127.0.0.1:9/");
        assert_eq!(problems(&[longest, hook]), [""; 0]);
        let found = problems(&[longest, grace, hook]);
        assert!(found.len() == 1 && found[0].contains("ENCKE_HOOK_TIMEOUT must be"), "{found:#?}");
    }
}

#[test]
fn an_empty_hook_url_is_an_error_and_not_no_hook() {
    for name in ["ENCKE_SERVICE_HOOK", "ENCKE_POLICY_HOOK"] {
        assert!(problems(&[(name, "")])[0].contains("set, but empty"));
        assert_eq!(problems(&[(name, "https://a/")]), [""; 0]);
    }
}

#[test]
fn a_node_does_not_open_itself_to_the_network_by_accident() {
    for address in ["0.0.0.0:80", "*:80", "[::]:80", "127.0.0.1:80,10.0.0.1:80"] {
        let open = ("ENCKE_LISTEN", address);
        let found = problems(&[open]);
        assert!(found.len() == 1 && found[0].contains("ENCKE_AUTH=none"), "{found:#?}");
        assert_eq!(problems(&[open, ("ENCKE_AUTH", "none")]), [""; 0]);
        assert_eq!(problems(&[open, ("ENCKE_TOKEN_KEY", "/run/jwt.pem")]), [""; 0]);
        assert_eq!(problems(&[open, ("ENCKE_AUTH", "token")]).len(), 1, "one mistake, one problem");

        let open = ("ENCKE_API_LISTEN", address);
        let found = problems(&[open]);
        assert!(found.len() == 1 && found[0].contains("ENCKE_API_KEY"), "{found:#?}");
        assert_eq!(problems(&[open, ("ENCKE_API_KEY", SECRET)]), [""; 0]);
    }
    assert_eq!(problems(&[("ENCKE_API_LISTEN", "unix:/run/a.sock,[::1]:1")]), [""; 0]);
}

#[test]
fn an_empty_secret_does_not_count_as_no_secret() {
    for name in ["ENCKE_TOKEN_KEY", "ENCKE_API_KEY", "ENCKE_AUTH", "ENCKE_LISTEN"] {
        for value in ["", "  "] {
            let found = problems(&[(name, value)]);
            assert!(found.len() == 1 && found[0].contains("set, but empty"), "{found:#?}");
        }
    }
    assert!(config(&[("ENCKE_ORIGINS", "")]).origins.is_empty());
}

#[test]
fn no_output_holds_a_secret() {
    let vars = [("ENCKE_API_KEY", SECRET), ("ENCKE_TOKEN_KEY", SECRET)];
    let effective = read(vars).unwrap();
    assert!(!report(&effective).contains("hush") && !format!("{effective:?}").contains("hush"));
    assert!(report(&effective).contains("(hidden)"));

    let clash = [vars[1], ("ENCKE_AUTH", "none"), ("ENCKE_API_KEY", "hush"), ("ENCKE_LISTEN", "*:1")];
    let found = problems(&clash);
    assert!(found.len() == 2 && !found.concat().contains("hush"), "{found:#?}");
}

#[test]
fn a_value_keeps_its_source() {
    let effective = read([("ENCKE_HEARTBEAT", " 30s ")]).unwrap();
    let of = |name: &str| {
        let setting = effective.settings.iter().find(|setting| setting.variable.name == name).unwrap();
        (setting.text.clone(), setting.source)
    };
    assert_eq!(of("ENCKE_HEARTBEAT"), ("30s".to_owned(), Source::Environment));
    assert_eq!(of("ENCKE_POLL_HOLD"), ("55s".to_owned(), Source::Default));
    assert_eq!(of("ENCKE_API_KEY"), ("(unset)".to_owned(), Source::Default));
    assert_eq!(effective.settings.len(), table::all().count());
}

#[test]
fn names_that_kubernetes_makes_of_a_service_do_not_stop_the_start() {
    let made = [
        ("ENCKE_SERVICE_HOST", "10.0.0.1"),
        ("ENCKE_SERVICE_PORT", "80"),
        ("ENCKE_SERVICE_PORT_HTTP", "80"),
        ("ENCKE_PORT", "tcp://10.0.0.1:80"),
        ("ENCKE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("ENCKE_PORT_80_TCP_PROTO", "tcp"),
        ("ENCKE_PORT_80_TCP_PORT", "80"),
        ("ENCKE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("ENCKE_API_PORT_81_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(problems(&made), [""; 0]);
    for name in ["ENCKE_PORT", "ENCKE_PORT_HTTP", "ENCKE_PORT_80", "ENCKE_SERVICE", "encke_listen"] {
        assert_eq!(problems(&[(name, "80")]).len(), 1, "{name}");
    }
}

#[test]
fn bytes_that_are_not_text_are_a_problem_and_not_a_panic() {
    let bytes = OsStr::from_bytes(b"\xff\xfe");
    let name = OsStr::from_bytes(b"ENCKE_\xff");
    let found = read([(OsStr::new("ENCKE_LISTEN"), bytes), (name, bytes), (bytes, bytes)]).unwrap_err();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].to_string().contains("not UTF-8"));
}

#[test]
fn control_characters_of_a_value_do_not_reach_the_terminal() {
    let found = problems(&[("ENCKE_AUTH", "a\x1b[2Jb"), ("ENCKE_LISTEN", "\x1b[2J"), ("ENCKE_\x1b[2J", "")]);
    assert!(found.len() == 3 && !found.concat().contains('\x1b'), "{found:#?}");
    let shown = report(&read([("ENCKE_API_LISTEN", "unix:/run/\x1b[2J\n")]).unwrap());
    assert!(!shown.contains('\x1b'), "{shown}");
}

#[test]
fn node_bounds_are_split_without_leaving_a_shard_empty() {
    assert_eq!(Config::share(10, 4), 3);
    assert_eq!(Config::share(1, 4), 1);
    assert_eq!(Config::share(8, 0), 8);
    assert_eq!(Config::default().shard_count(200), 64);
    assert_eq!(config(&[("ENCKE_SHARDS", "3")]).shard_count(8), 3);
}
