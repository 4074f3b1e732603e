//! All pollers in step: a message, until everybody has it and waits again; then the next.

use std::io;

use super::open;
use crate::clock::now;
use crate::stage::Stage;

pub(super) fn run(stage: &mut Stage) -> io::Result<()> {
    open(stage)?;
    stage.begin()?;
    for _ in 0..stage.settings.messages {
        stage.publish(0, now());
        // One that does not come holds up the others for as long as patience lasts; the rest would not be any different.
        if !stage.settle()? {
            break;
        }
    }
    stage.meter.end()
}
