//! Messages to one user each: as fast as the server answers the publishers' requests, or at a
//! steady rate.

use std::io;

use super::{open, paced};
use crate::clock::{SECOND, now};
use crate::coordinator::Coordinator;
use crate::publisher::Publishers;

pub(super) fn run(coordinator: &mut Coordinator) -> io::Result<()> {
    open(coordinator)?;
    let (clients, messages) = (coordinator.settings.clients, coordinator.settings.messages);
    coordinator.begin()?;
    match coordinator.settings.rate {
        Some(rate) => paced(coordinator, rate, u64::from(messages), |n| (n % u64::from(clients)) as u32)?,
        None => pour(coordinator, clients, messages)?,
    }
    coordinator.await_deliveries()?;
    coordinator.meter.end()
}

/// Keeps each publisher's requests in flight. Each publisher cycles through users of its own.
fn pour(coordinator: &mut Coordinator, clients: u32, messages: u32) -> io::Result<()> {
    let conns = coordinator.publishers.as_ref().map_or(1, Publishers::connections) as u32;
    let mut next: Vec<u32> = (0..conns).collect();
    let mut left = messages;
    while left > 0 {
        for (conn, user) in next.iter_mut().enumerate().take(clients as usize) {
            while left > 0
                && coordinator.publishers.as_ref().is_some_and(|publishers| publishers.room(conn) > 0)
            {
                coordinator.publish(*user, now());
                left -= 1;
                *user = if *user + conns < clients { *user + conns } else { conn as u32 };
            }
        }
        coordinator.turn(now() + SECOND)?;
    }
    Ok(())
}
