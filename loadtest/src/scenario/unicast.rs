//! Messages to one user each: as fast as the publishers' requests are answered, or at a pace.

use std::io;

use super::{open, paced};
use crate::clock::{SECOND, now};
use crate::publisher::Publishers;
use crate::stage::Stage;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    let (clients, messages) = (stage.settings.clients, stage.settings.messages);
    stage.begin()?;
    match stage.settings.rate {
        Some(rate) => paced(stage, rate, u64::from(messages), |n| (n % u64::from(clients)) as u32)?,
        None => pour(stage, clients, messages)?,
    }
    stage.settle()?;
    stage.meter.end()
}

/// Keeps each publisher's requests in flight. Users take turns, each publisher with its own.
fn pour(stage: &mut Stage, clients: u32, messages: u32) -> io::Result<()> {
    let wires = stage.publishers.as_ref().map_or(1, Publishers::wires) as u32;
    let mut next: Vec<u32> = (0..wires).collect();
    let mut left = messages;
    while left > 0 {
        for (wire, user) in next.iter_mut().enumerate().take(clients as usize) {
            while left > 0 && stage.publishers.as_ref().is_some_and(|publishers| publishers.room(wire) > 0) {
                stage.publish(*user, now());
                left -= 1;
                *user = if *user + wires < clients { *user + wires } else { wire as u32 };
            }
        }
        stage.turn(now() + SECOND)?;
    }
    Ok(())
}
