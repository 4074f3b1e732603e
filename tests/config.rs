//! The program's face: exit statuses and messages of the real binary, and the page that is made
//! from the table.

use std::path::Path;
use std::process::{Command, Output};

use encke::config;

/// Runs the binary with nothing but `vars` in its environment.
fn encke(args: &[&str], vars: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_encke"))
        .args(args)
        .env_clear()
        .envs(vars.iter().copied())
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SECRET: &str = "hush-hush-hush-hush-hush-hush-hush";

#[test]
fn the_configuration_page_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIG.md");
    let made = config::markdown();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).expect("the page can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/CONFIG.md is out of date: run `UPDATE=1 cargo test --test config`");
}

#[test]
fn the_manual_page_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/encke.8");
    let made = config::manual();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).expect("the page can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "packaging/encke.8 is out of date: run `UPDATE=1 cargo test --test config`");
}

#[test]
fn bad_variables_stop_the_start_with_all_their_names() {
    let vars = [
        ("ENCKE_HEARTBAET", "25s"),
        ("ENCKE_POLL_HOLD", "55"),
        ("ENCKE_SHARDS", "65"),
        ("ENCKE_API_KEY", "hush"),
        ("ENCKE_LISTEN", "0.0.0.0:8080"),
    ];
    for args in [&[][..], &["check"]] {
        let output = encke(args, &vars);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert_eq!(stdout(&output), "");
        for expected in [
            "encke: the configuration has 5 problems:",
            "ENCKE_HEARTBAET: no such variable; the nearest name is ENCKE_HEARTBEAT",
            "ENCKE_POLL_HOLD=\"55\": a duration needs its unit",
            "allowed: 1s to 1h",
            "ENCKE_SHARDS=\"65\": too large; allowed: auto, or 1 to 64",
            "ENCKE_API_KEY=(hidden): too short",
            "ENCKE_LISTEN leaves loopback",
        ] {
            assert!(printed.contains(expected), "{expected:?} is not in {printed}");
        }
        assert!(!printed.contains("hush"), "{printed}");
    }
}

#[test]
fn check_prints_every_value_and_its_source_but_no_secret() {
    let vars = [("ENCKE_HEARTBEAT", "30s"), ("ENCKE_API_KEY", SECRET), ("HOME", "/")];
    let output = encke(&["check"], &vars);
    let printed = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let words = |name: &str| -> Vec<String> {
        let line = printed.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(words("ENCKE_HEARTBEAT "), ["30s", "environment"]);
    assert_eq!(words("ENCKE_POLL_HOLD "), ["55s", "default"]);
    assert_eq!(words("ENCKE_API_KEY "), ["(hidden)", "environment"]);
    assert_eq!(words("ENCKE_TOKEN_KEY "), ["(unset)", "default"]);
    assert!(!printed.contains("hush"), "{printed}");
}

#[test]
fn help_and_version_go_to_the_standard_output_whatever_the_environment_holds() {
    let vars = [("ENCKE_NONSENSE", "1")];
    for args in ["--help", "-h"] {
        let output = encke(&[args], &vars);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stdout(&output), config::help());
    }
    for args in ["--version", "-V"] {
        let output = encke(&[args], &vars);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stdout(&output), format!("encke {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn an_unknown_argument_is_answered_with_what_is_allowed() {
    for args in [&["serve"][..], &["--port", "80"], &["check", "--verbose"]] {
        let output = encke(args, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("check, place, places, token, --help (-h), --version (-V)"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn options_of_other_servers_are_answered_with_the_variable() {
    for (args, says) in [
        (&["--port", "9000"][..], "ENCKE_LISTEN=127.0.0.1:9000 encke"),
        (&["serve", "--host=0.0.0.0"], "ENCKE_LISTEN=0.0.0.0:8080 encke"),
        (&["--config", "x.toml"], "there is no configuration file"),
    ] {
        let output = encke(args, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn keys_and_passwords_in_urls_are_shown_nowhere() {
    let hooks = |url| [("ENCKE_SERVICE_HOOK", url), ("ENCKE_POLICY_HOOK", url)];
    let output = encke(&["check"], &hooks("http://127.0.0.1:9/hook?key=hush-hush"));
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("http://127.0.0.1:9/hook?(hidden)"), "{}", stdout(&output));
    for url in [
        "http://user:hush@127.0.0.1:9/?key=hush",
        "ftp://hush@a/",
        "user:hush@a",
        "http://a b/?key=hush",
        "http://a/?k=hush#x",
    ] {
        for args in [&[][..], &["check"]] {
            let output = encke(args, &hooks(url));
            let printed = format!("{}{}", stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(2), "{printed}");
            assert!(printed.contains("ENCKE_SERVICE_HOOK=\"") && !printed.contains("hush"), "{printed}");
        }
    }
    // Problems of two values, and the log of the start, which then fails.
    let clash =
        [("ENCKE_HOOK_TIMEOUT", "60s"), ("ENCKE_SESSION_GRACE", "59s"), hooks("http://a/?key=hush")[0]];
    let output = encke(&["check"], &clash);
    assert_eq!(output.status.code(), Some(2));
    assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    let start = [("ENCKE_TOKEN_KEY", "/nowhere/key.pem"), hooks("http://a/?key=hush")[0]];
    let output = encke(&[], &start);
    let printed = stderr(&output);
    assert!(
        printed.contains("ENCKE_SERVICE_HOOK=http://a/?(hidden)") && !printed.contains("hush"),
        "{printed}"
    );
}

#[test]
fn check_finds_a_key_file_that_the_start_could_not_use() {
    let fixture = |name: &str| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    for (path, expected) in [
        ("/nowhere/key.pem".to_owned(), "No such file"),
        ("/".to_owned(), "not a regular file"),
        (fixture("test-only-rsa-private.pem"), "private key"),
        (fixture("test-only-certificate.pem"), "certificate"),
        (fixture("test-only-rsa-1024-public.pem"), "1024 bits"),
        (fixture("test-only-secp256k1-public.pem"), "P-256"),
        (fixture("README.md"), "no PEM block"),
    ] {
        let output = encke(&["check"], &[("ENCKE_TOKEN_KEY", &path)]);
        let printed = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{path}: {printed}");
        assert!(printed.contains("ENCKE_TOKEN_KEY") && printed.contains(expected), "{path}: {printed}");
        assert_eq!(stdout(&output), "");
        assert!(!encke(&[], &[("ENCKE_TOKEN_KEY", &path)]).status.success());
    }
    for name in ["rsa", "ec", "p384", "ed25519", "rsa-pkcs1"] {
        let path = fixture(&format!("test-only-{name}-public.pem"));
        assert_eq!(encke(&["check"], &[("ENCKE_TOKEN_KEY", &path)]).status.code(), Some(0), "{path}");
    }
}

#[test]
fn a_secret_that_is_none_is_refused_by_its_name_and_not_shown() {
    let hush = "hush0hush1hush2hush3hush4hush5hush6";
    for text in [
        format!("file:///run/{hush}"),
        format!("~/{hush}"),
        format!("@/{hush}"),
        format!("../keys/{hush}"),
        format!("keys/production/{hush}.pub"),
        format!("C:\\{hush}"),
        format!("${{{hush}}}"),
        format!("env:{hush}"),
        format!("base64:{hush}"),
        format!("\"{hush}\""),
        format!("'{hush}'"),
        format!(" {hush}"),
        format!("{hush}\n"),
        format!("-----BEGIN PUBLIC KEY----- {hush} -----END PUBLIC KEY-----"),
    ] {
        for name in ["ENCKE_TOKEN_KEY", "ENCKE_API_KEY"] {
            let output = encke(&["check"], &[(name, &text)]);
            let printed = format!("{}{}", stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(2), "{name}={text}: {printed}");
            assert!(printed.contains(name) && !printed.contains("hush1"), "{printed}");
        }
    }
    for name in ["ENCKE_TOKEN_KEY", "ENCKE_API_KEY"] {
        assert_eq!(encke(&["check"], &[(name, hush)]).status.code(), Some(0));
    }
}
