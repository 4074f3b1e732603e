//! Defaults that depend on the scenario and the server, and which combinations are supported.

use std::time::Duration;

use crate::cli::{Channel, Options, Scenario};
use crate::dialect::Dialect;
use crate::plan::Layout;
use crate::preset::{Name, Preset};

pub(super) fn publishes(scenario: Scenario) -> bool {
    match scenario {
        Scenario::Idle | Scenario::Heartbeat | Scenario::Churn | Scenario::Drain => false,
        Scenario::Fanout
        | Scenario::Unicast
        | Scenario::Mixed
        | Scenario::Rooms
        | Scenario::Longpoll
        | Scenario::Reconnect
        | Scenario::Slow
        | Scenario::Soak
        | Scenario::Transports => true,
    }
}

pub(super) fn api(options: &Options) -> String {
    let port = match options.preset {
        Name::Encke | Name::EnckeSockjs | Name::EnckePipe => "8081",
        Name::Pushpin => "5561",
        Name::Nchan | Name::Faye | Name::Bayeux | Name::Sockjs | Name::Ws | Name::Limit | Name::Plain => "",
    };
    let beside = || match options.to.rsplit_once(':') {
        Some((host, _)) if !port.is_empty() => format!("{host}:{port}"),
        Some(_) | None => options.to.clone(),
    };
    options.api.clone().unwrap_or_else(beside)
}

pub(super) fn layout(options: &Options, clients: u32) -> Layout {
    match options.scenario {
        Scenario::Unicast | Scenario::Transports => Layout::Own { clients },
        Scenario::Mixed => Layout::rooms(clients, options.seed),
        Scenario::Rooms => Layout::partitions(clients, options.rooms, options.seed),
        Scenario::Idle | Scenario::Heartbeat if options.channel == Channel::Own => Layout::Own { clients },
        Scenario::Idle
        | Scenario::Heartbeat
        | Scenario::Fanout
        | Scenario::Longpoll
        | Scenario::Churn
        | Scenario::Reconnect
        | Scenario::Slow
        | Scenario::Soak
        | Scenario::Drain => Layout::Shared,
    }
}

pub(super) fn rate(scenario: Scenario) -> Option<f64> {
    match scenario {
        Scenario::Fanout | Scenario::Soak | Scenario::Reconnect => Some(5.0),
        Scenario::Mixed => Some(0.2),
        Scenario::Rooms => Some(200.0),
        Scenario::Transports => Some(1.0),
        Scenario::Idle
        | Scenario::Heartbeat
        | Scenario::Unicast
        | Scenario::Longpoll
        | Scenario::Churn
        | Scenario::Slow
        | Scenario::Drain => None,
    }
}

pub(super) fn messages(options: &Options) -> Result<u32, String> {
    Ok(match (options.scenario, options.rate) {
        (Scenario::Longpoll, _) => 50,
        (Scenario::Slow, _) => 5000,
        (Scenario::Unicast, Some(rate)) => (span(options)?.as_secs_f64() * rate).round().max(1.0) as u32,
        _ => 40_000,
    })
}

pub(super) fn span(options: &Options) -> Result<Duration, String> {
    let seconds = match options.scenario {
        Scenario::Soak => options.hours * 3600.0,
        Scenario::Heartbeat => options.seconds.unwrap_or(60.0),
        Scenario::Mixed | Scenario::Transports => options.seconds.unwrap_or(30.0),
        Scenario::Fanout | Scenario::Unicast => options.seconds.unwrap_or(20.0),
        Scenario::Slow | Scenario::Rooms => options.seconds.unwrap_or(5.0),
        _ => options.seconds.unwrap_or(10.0),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("--seconds or --hours: {error}"))
}

/// Whether a scenario supports the clients of a preset.
pub(super) fn fits(scenario: Scenario, preset: &Preset) -> Result<(), String> {
    let says = |text: &str| text.contains("{subscriptions}");
    let bodies = preset.subscribe.iter().filter_map(|ask| ask.body.as_deref());
    let takes_several = bodies.chain(preset.socket_handshake.iter().map(String::as_str)).any(says);
    let bayeux = preset.dialect == Dialect::Bayeux;
    match scenario {
        Scenario::Rooms if !takes_several => {
            Err("rooms needs a preset whose clients can have several channels: bayeux, faye".to_owned())
        }
        // Without its acknowledgement extension Bayeux guarantees nothing across a cut, and it
        // cannot report a gap.
        Scenario::Churn | Scenario::Reconnect | Scenario::Slow | Scenario::Drain if bayeux => {
            Err("this scenario does not support Bayeux".to_owned())
        }
        // A session ends with its connection, and no gap is looked for in frames.
        Scenario::Reconnect | Scenario::Slow if preset.dialect == Dialect::Sockjs => {
            Err("this scenario does not support SockJS".to_owned())
        }
        _ => Ok(()),
    }
}
