//! A session for the later of two clients that use one session's id.

use crate::base::slab::{ConnKey, SessionKey};
use crate::call::queue::Since;
use crate::core::Core;
use crate::protocol::native::envelope::CloseCode;
use crate::request::Open;
use crate::session::Session;
use crate::wire::refusal::Refusal;

impl Core {
    /// Creates a session with another one's subscriptions, for the later of two clients. It
    /// continues from the position that the client names. A client that names none may have missed
    /// what was written for the other: it gets a gap.
    pub(crate) fn make_apart(
        &mut self,
        conn: ConnKey,
        open: &Open,
        (from, since): (SessionKey, &Since),
    ) -> Result<SessionKey, Refusal> {
        let Session { start, cursor, .. } = self.sessions[from];
        let begins = match since {
            Since::Unspecified => Since::Here(start),
            Since::Here(_) | Since::Elsewhere(_) => since.clone(),
        };
        let after = if let Since::Here(n) = since { *n } else { cursor };
        let plain = Open::plain(open.user.clone(), open.transport, std::rc::Rc::clone(&open.grant));
        let key = self.make_session(conn, &plain, &begins)?;
        let made = self
            .subscribe_as((from, key), (&begins, after))
            .and_then(|()| self.subscribe_to_named(key, open));
        if let Err(refusal) = made {
            self.end_session(key, CloseCode::Ended);
            return Err(refusal);
        }
        if *since == Since::Unspecified {
            self.owe_history(key, start);
        }
        self.cx.metrics.parted += 1;
        Ok(key)
    }
}
