//! Runs the program against a server, and checks its report.
//!
//! Against Encke every scenario must find no fault and count every message; against a server with a
//! known fault it must find exactly that. Nothing here depends on how long a run takes.

mod bayeux;
mod encke;
mod faulty;
mod format;
mod program;

use std::net::TcpListener;

use encke::Node;
use faulty::{Fault, Faulty};
use program::{Run, run};

/// Runs a small scenario against a node of its own.
fn against_encke(arguments: &str) -> Run {
    let node = Node::start();
    let own = format!("--to {} --api {} --pid {}", node.public, node.api, node.pid());
    run(&format!("{arguments} {own} --rest 50ms"))
}

fn assert_exact(run: &Run) {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for field in ["lost", "doubled", "disordered", "gaps"] {
        assert_eq!(run.count(field), 0, "{field}: {}", run.stderr);
    }
    assert_eq!(run.report["errors"], serde_json::json!({}));
}

/// All clients got all messages.
fn assert_fanned_out(run: &Run, clients: u64, published: u64) {
    assert_exact(run);
    assert_eq!((run.count("clients"), run.count("published")), (clients, published));
    assert_eq!(run.count("deliveries"), clients * published);
}

#[test]
fn a_paced_fanout_reaches_everybody_over_every_transport_and_from_several_processes() {
    let all = [
        "sse",
        "stream",
        "longpoll",
        "overlap",
        "poll --poll-every 50ms",
        "ws",
        "ws --deflate",
        "jsonp",
        "frame",
        "multipart",
    ];
    for transport in all {
        let arguments =
            format!("fanout --clients 30 --rate 20 --seconds 0.5 --procs 2 --transport {transport}");
        let run = against_encke(&arguments);
        assert_fanned_out(&run, 30, 10);
        let last = run.number("/last_ms/max");
        assert!(
            last >= run.number("/last_ms/median") && last <= run.number("/latency_ms/max"),
            "{transport}"
        );
    }
}

#[test]
fn strings_and_envelopes_reach_everybody_over_sockjs() {
    for preset in ["encke-pipe", "encke-sockjs"] {
        for transport in ["sse", "stream", "longpoll", "ws"] {
            let sockjs = format!("--preset {preset} --transport {transport}");
            let run = against_encke(&format!("fanout --clients 30 --rate 20 --seconds 0.5 {sockjs}"));
            assert_fanned_out(&run, 30, 10);
        }
        let polls = against_encke(&format!("longpoll --clients 30 --messages 5 --preset {preset}"));
        assert_fanned_out(&polls, 30, 5);
        let unicast = against_encke(&format!("unicast --clients 20 --messages 100 --preset {preset}"));
        assert_exact(&unicast);
        assert_eq!(unicast.count("deliveries"), 100);
    }
}

#[test]
fn a_burst_reaches_everybody_and_the_server_is_measured() {
    let run = against_encke("fanout --clients 50 --burst 300 --bursts 2");
    assert_fanned_out(&run, 50, 600);
    assert!(run.number("/server/pss_after") > 0.0 && run.number("/server/threads") > 1.0);
    assert!(!run.report["timeline"].as_array().unwrap().is_empty());
    assert_eq!(run.report["options"]["burst"], 300);
}

#[test]
fn a_message_to_one_user_reaches_that_user_alone() {
    let fast = against_encke("unicast --clients 40 --messages 500");
    assert_exact(&fast);
    assert_eq!((fast.count("published"), fast.count("deliveries")), (500, 500));
    let paced = against_encke("unicast --clients 3 --rate 100 --seconds 0.3 --publishers 5");
    assert_exact(&paced);
    assert_eq!((paced.count("published"), paced.count("deliveries")), (30, 30));
}

#[test]
fn rooms_get_their_own_messages() {
    let run = against_encke("mixed --clients 50 --rate 10 --seconds 0.5");
    assert_exact(&run);
    assert!(run.count("deliveries") > run.count("published") && run.count("published") > 0);
}

#[test]
fn pollers_in_step_all_get_each_message() {
    for transport in ["longpoll", "overlap", "jsonp"] {
        let arguments = format!("longpoll --clients 30 --messages 5 --procs 2 --transport {transport}");
        assert_fanned_out(&against_encke(&arguments), 30, 5);
    }
}

#[test]
fn messages_at_random_are_timed_over_every_transport_and_what_the_link_carries_is_counted() {
    for transport in ["sse", "stream", "longpoll", "overlap", "poll", "ws", "jsonp", "frame"] {
        let arguments = "transports --clients 3 --rate 20 --seconds 0.5 --interface lo --header X-More:yes";
        let run = against_encke(&format!("{arguments} --transport {transport}"));
        assert_exact(&run);
        assert_eq!(run.count("deliveries"), run.count("published"), "{transport}");
        let bytes = run.number("/details/wire_down_bytes") / run.number("/deliveries");
        // The least bytes of a message of 15 bytes: its payload and the headers of TCP and IP.
        assert!(bytes > 55.0 && run.number("/details/wire_up_packets") > 0.0, "{transport}: {bytes}");
        assert!(run.number("/details/latency_mean_ms") <= run.number("/latency_ms/max"), "{transport}");
        assert_eq!(run.report["options"]["bytes"], 15);
    }
}

#[test]
fn a_churn_counts_first_bytes() {
    for transport in ["sse", "ws", "jsonp", "frame", "multipart"] {
        let run = against_encke(&format!(
            "churn --clients 20 --concurrency 4 --seconds 0.3 --transport {transport}"
        ));
        assert_eq!(run.code, Some(0), "{transport}: {}", run.stderr);
        assert_eq!(run.report["errors"], serde_json::json!({}), "{transport}");
        assert!(run.number("/connections_per_s") > 0.0 && run.number("/latency_ms/p50") > 0.0);
        assert!(run.report["lost"].is_null() && run.report["deliveries"].is_null());
    }
}

#[test]
fn what_is_published_during_a_cut_reaches_those_who_come_back() {
    for transport in
        ["sse", "stream", "longpoll", "overlap", "ws", "ws --deflate", "jsonp", "frame", "multipart"]
    {
        let arguments = "reconnect --clients 30 --rate 20 --seconds 0.6 --within 300ms --transport";
        assert_fanned_out(&against_encke(&format!("{arguments} {transport}")), 30, 13);
    }
}

#[test]
fn slow_readers_get_every_message_or_a_gap() {
    for transport in ["sse", "ws", "frame", "multipart"] {
        let run = against_encke(&format!(
            "slow --clients 30 --stalled 5 --slow-readers 5 --messages 1500 --bytes 1000 --seconds 0.1 --transport {transport}"
        ));
        assert_eq!(run.code, Some(0), "{transport}: {}", run.stderr);
        assert_eq!(run.count("lost") + run.count("doubled") + run.count("disordered"), 0);
        let in_gaps = run.number("/details/told");
        let unaccounted = 30.0 * 1500.0 - run.number("/deliveries") - in_gaps;
        assert!(unaccounted.abs() < 0.5, "{transport}: {unaccounted}");
        // The kernel's buffers and the server's log together hold far less than what was published.
        assert!(in_gaps > 0.0 && run.count("gaps") > 0, "{transport}");
    }
}

#[test]
fn quiet_clients_stay() {
    let all = ["idle --channel own", "heartbeat", "soak --hours 0.0001"].map(str::to_owned).into_iter();
    let others = ["ws", "jsonp", "frame", "multipart"].map(|name| format!("idle --transport {name}"));
    for scenario in all.chain(others) {
        let run = against_encke(&format!("{scenario} --clients 20 --seconds 0.2"));
        assert_eq!((run.code, run.count("clients")), (Some(0), 20), "{}", run.stderr);
    }
}

#[test]
fn a_drain_is_announced_to_every_client() {
    for transport in ["sse", "ws", "jsonp", "frame", "multipart"] {
        let run = against_encke(&format!("drain --clients 20 --transport {transport}"));
        assert_eq!(run.code, Some(0), "{transport}: {}", run.stderr);
        assert_eq!(
            (run.number("/details/told"), run.number("/details/not_told")),
            (20.0, 0.0),
            "{transport}"
        );
    }
}

/// The same over Bayeux, whose publishers are clients like all others.
fn by_bayeux(arguments: &str) -> Run {
    let node = Node::start();
    let own = format!("--to {} --pid {} --preset bayeux", node.public, node.pid());
    run(&format!("{arguments} {own} --rest 50ms"))
}

#[test]
fn bayeux_clients_get_everything_once_and_in_order() {
    for transport in ["longpoll", "ws"] {
        let paced = format!("fanout --clients 30 --rate 20 --seconds 0.5 --procs 2 --transport {transport}");
        assert_fanned_out(&by_bayeux(&paced), 30, 10);
        let burst = format!("fanout --clients 30 --burst 250 --bursts 2 --transport {transport}");
        assert_fanned_out(&by_bayeux(&burst), 30, 500);
        let one = by_bayeux(&format!("unicast --clients 20 --messages 200 --transport {transport}"));
        assert_exact(&one);
        assert_eq!((one.count("published"), one.count("deliveries")), (200, 200), "{transport}");
        let quiet = by_bayeux(&format!("idle --clients 20 --seconds 0.2 --transport {transport}"));
        assert_eq!((quiet.code, quiet.count("clients")), (Some(0), 20), "{}", quiet.stderr);
    }
    let deflated = by_bayeux("fanout --clients 10 --burst 20 --bursts 1 --transport ws --deflate");
    assert_fanned_out(&deflated, 10, 20);
    assert_fanned_out(&by_bayeux("longpoll --clients 30 --messages 5 --procs 2"), 30, 5);
}

#[test]
fn rooms_are_published_to_at_a_rate_that_rises_until_it_is_too_much() {
    for transport in ["longpoll", "ws"] {
        // No client gets its messages at once, so the first step is the last.
        let run = by_bayeux(&format!(
            "rooms --clients 40 --rooms 3 --rate 200 --seconds 0.3 --procs 2 --until 0ms --transport {transport}"
        ));
        assert_exact(&run);
        let steps = run.report["steps"].as_array().unwrap();
        assert_eq!((steps.len(), run.count("published")), (1, 60), "{transport}: {}", run.report);
        assert!(run.count("deliveries") >= 60 && run.number("/steps/0/latency_ms/p99") > 0.0);
        assert!(run.number("/details/peak_deliveries_per_s") <= run.number("/steps/0/due_per_s"));
    }
    let several = by_bayeux("rooms --clients 40 --rooms 3 --rate 50 --growth 1000 --seconds 0.2 --until 1ms");
    assert_exact(&several);
    assert!(several.report["steps"].as_array().unwrap().len() <= 2, "{}", several.report);
}

// ---- what is wrong is found ----

/// Ten messages to five clients of a server with a fault.
fn against(fault: Fault) -> Run {
    against_over(fault, "sse", "events")
}

/// The same over a transport, for which the server has another name.
fn against_over(fault: Fault, transport: &str, path: &str) -> Run {
    let to = Faulty::start(fault, 5).address;
    run(&format!(
        "fanout --clients 5 --burst 10 --bursts 1 --rest 50ms --patience 500ms --preset plain --to {to} --api {to} \
         --transport {transport} --subscribe http://{to}/{path}?c={{channel}} --publish /publish --publish-body {{payload}}"
    ))
}

/// The transports with their own format, and their path at the faulty server.
const FORMATS: [(&str, &str); 5] = [
    ("ws", "ws"),
    ("ws --deflate", "deflated"),
    ("jsonp", "jsonp"),
    ("frame", "frame"),
    ("multipart", "multipart"),
];

#[test]
fn a_server_without_a_fault_is_found_to_have_none() {
    assert_fanned_out(&against(Fault::None), 5, 10);
}

#[test]
fn what_is_wrong_is_found_over_every_transport() {
    for (transport, path) in FORMATS {
        let found = |fault| {
            let run = against_over(fault, transport, path);
            let [lost, doubled, late] = ["lost", "doubled", "disordered"].map(|field| run.count(field));
            (run.code, run.count("deliveries"), [lost, doubled, late])
        };
        assert_fanned_out(&against_over(Fault::None, transport, path), 5, 10);
        assert_eq!(found(Fault::Loses(3)), (Some(1), 45, [5, 0, 0]), "{transport}");
        assert_eq!(found(Fault::Doubles(4)), (Some(1), 50, [0, 5, 0]), "{transport}");
        assert_eq!(found(Fault::Delays(6)), (Some(1), 50, [0, 0, 5]), "{transport}");
    }
}

#[test]
fn what_is_wrong_is_found_over_bayeux() {
    for transport in ["longpoll", "ws"] {
        let run = |fault| {
            let to = Faulty::start(fault, 5).address;
            run(&format!(
                "fanout --clients 5 --burst 10 --bursts 1 --rest 50ms --patience 500ms --preset bayeux --to {to} \
                 --transport {transport} --publish /publish --publish-body {{payload}}"
            ))
        };
        let found = |fault| {
            let run = run(fault);
            let [lost, doubled, late] = ["lost", "doubled", "disordered"].map(|field| run.count(field));
            (run.code, run.count("deliveries"), [lost, doubled, late])
        };
        assert_fanned_out(&run(Fault::None), 5, 10);
        assert_eq!(found(Fault::Loses(3)), (Some(1), 45, [5, 0, 0]), "{transport}");
        assert_eq!(found(Fault::Doubles(4)), (Some(1), 50, [0, 5, 0]), "{transport}");
        assert_eq!(found(Fault::Delays(6)), (Some(1), 50, [0, 0, 5]), "{transport}");
    }
}

#[test]
fn a_message_that_does_not_come_is_lost_for_each_client() {
    let run = against(Fault::Loses(3));
    assert_eq!((run.code, run.count("lost"), run.count("deliveries")), (Some(1), 5, 45));
}

#[test]
fn a_last_message_that_does_not_come_is_lost_too() {
    let run = against(Fault::Loses(10));
    assert_eq!((run.code, run.count("lost")), (Some(1), 5));
}

#[test]
fn a_message_that_comes_twice_is_doubled() {
    let run = against(Fault::Doubles(4));
    assert_eq!((run.code, run.count("doubled"), run.count("deliveries")), (Some(1), 5, 50));
}

#[test]
fn a_message_that_comes_late_is_out_of_order_and_not_lost() {
    let run = against(Fault::Delays(6));
    assert_eq!((run.code, run.count("disordered"), run.count("lost")), (Some(1), 5, 0));
}

#[test]
fn a_refused_message_is_an_error_and_expected_by_no_client() {
    let run = against(Fault::Refuses(7));
    assert_eq!((run.code, run.count("published"), run.count("lost")), (Some(0), 9, 0));
    let errors = run.report["errors"].as_object().unwrap();
    assert!(
        errors.iter().any(|(reason, count)| reason.starts_with("publish: 500") && *count == 1),
        "{errors:?}"
    );
}

#[test]
fn a_publisher_that_is_sent_away_publishes_the_rest_on_a_new_connection() {
    assert_fanned_out(&against(Fault::EndsAfter(3)), 5, 10);
}

#[test]
fn a_run_that_cannot_be_made_says_why() {
    // A wait for the patience would show: it is longer than a test may take.
    let patience = "--patience 1h";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    let gone = {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        other.local_addr().unwrap()
    };
    for (arguments, option) in [
        (format!("fanout --clients 3 --to {gone} --api {there} {patience}"), "--to"),
        (format!("fanout --clients 3 --to {there} --api {gone} {patience}"), "--api"),
        (format!("unicast --clients 3 --to {there} --api {gone} {patience}"), "--api"),
        (format!("idle --clients 3 --to {gone} {patience}"), "--to"),
        (format!("churn --to {gone} {patience}"), "--to"),
    ] {
        let run = run(&arguments);
        assert_eq!(run.code, Some(2), "{arguments}");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        for word in [&*format!("http://{gone}/"), "refused", "cargo run --release", option] {
            assert!(run.stderr.contains(word), "{word} in {}", run.stderr);
        }
    }
    drop(listener);
    // A server that accepts connections and sends nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = mute.local_addr().unwrap();
    let nobody = run(&format!("fanout --clients 3 --to {at} --api {at} --patience 300ms"));
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.stderr.contains("only 0 of 3 clients"), "{}", nobody.stderr);
    for wrong in [
        "fanout --bytes 15",
        "transports --bytes 14",
        "transports --clients 65",
        "fanout --clients 0",
        "drain",
        "longpoll --preset pushpin",
        "fanout --deflate",
        "idle --pid 4000000",
        "rooms",
        "rooms --preset faye --batch 0",
        "rooms --preset faye --growth 1",
        "reconnect --preset bayeux --transport ws",
        "reconnect --preset encke-pipe --transport stream",
        "fanout --preset sockjs --transport jsonp",
    ] {
        let run = run(wrong);
        assert_eq!(run.code, Some(2), "{wrong}");
        assert!(run.stderr.starts_with("encke-loadtest: "), "{}", run.stderr);
    }
}
