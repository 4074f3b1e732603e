//! A world in words and numbers: its scenario, and what happened in it.

use super::*;

impl World {
    pub(crate) fn describe(&self) -> String {
        let Scenario {
            shards,
            roomy,
            subscribers,
            publishers,
            pipeliners,
            faults_every,
            storm,
            drains,
            config,
            ..
        } = &self.scenario;
        format!(
            "{shards} shards, roomy {roomy}, {subscribers} subscribers, {publishers} publishers, {pipeliners} pipeliners, \
             faults every {faults_every:?}, storm {storm}, drains {drains}, hold {:?}, heartbeat {:?}, grace {:?}, outbox {}, \
             messages {}, age {:?}, mailbox {}",
            config.poll_hold,
            config.heartbeat,
            config.session_grace,
            config.outbox_bytes,
            config.channel_messages,
            config.channel_age,
            config.mailbox
        )
    }

    pub(super) fn tallies(&self, events: u64) -> BTreeMap<&'static str, u64> {
        let messages = self.oracle.publishes.len() as u64;
        let hand_offs = self.nodes.iter().map(|node| node.hand_offs).sum();
        BTreeMap::from([
            ("events", events),
            ("publishes", messages),
            ("deliveries", self.oracle.deliveries),
            ("gaps", self.oracle.gaps),
            ("resumed", self.oracle.resumed),
            ("recycled", self.oracle.recycled),
            ("by socket", self.oracle.by_socket),
            ("cut as deaf", self.oracle.deaf),
            ("replaced", self.oracle.replaced),
            ("busy", self.oracle.busy),
            ("bayeux events", self.oracle.events),
            ("bayeux cuts", self.oracle.cuts),
            ("bayeux sessions lost", self.oracle.sessions_lost),
            ("bayeux crowded", self.oracle.crowded),
            ("bayeux changed", self.oracle.changed),
            ("bayeux sent away", self.oracle.sent_away.len() as u64),
            ("sockjs lost", self.oracle.strings_lost),
            ("sockjs again", self.oracle.strings_again),
            ("sockjs refused", self.oracle.second_refused),
            ("sockjs over", self.oracle.pipes_over),
            ("restarts", self.oracle.restarts.len() as u64),
            ("presences", self.oracle.presences),
            ("repeated publishes", self.oracle.repeated),
            ("mixed batches", self.oracle.mixed),
            ("hand-offs", hand_offs),
            ("links", self.net.links().count() as u64),
        ])
    }
}
