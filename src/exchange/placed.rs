//! Requests of users whom another node serves, and of guests.
//!
//! A balancer may be wrong for a moment, or a backend's table old: such a request is answered with
//! the right node's address, in the form that its client can see. Requests of protocols that have
//! words of their own for this pass, and their fronts answer them.

use std::sync::Arc;

use crate::base::slab::ConnKey;
use crate::config::place::NodeRole;
use crate::core::Core;
use crate::request::reply::Reply;
use crate::request::{Open, Request, User};
use crate::wire::http::head::KeepAlive;
use crate::wire::refusal::Refused;

impl Core {
    /// The request, unless it was answered because another node serves its user. The connection of
    /// a guest ends with the answer, so that the balancer can choose again for the next request.
    #[inline]
    pub(crate) fn placed(&mut self, conn: ConnKey, request: Request, reply: &mut Reply) -> Option<Request> {
        if self.cx.config.place.is_none() {
            return Some(request);
        }
        self.placed_among(conn, request, reply)
    }

    fn placed_among(&mut self, conn: ConnKey, request: Request, reply: &mut Reply) -> Option<Request> {
        let config = Arc::clone(&self.cx.config);
        let (Some(place), Some(user)) = (&config.place, request.user()) else { return Some(request) };
        let found = place.of(&user.name);
        match found.role {
            NodeRole::Home | NodeRole::Unplaced => return Some(request),
            NodeRole::Deputy => {
                reply.keep_alive = KeepAlive::Close;
                return Some(request);
            }
            NodeRole::Other => reply.keep_alive = KeepAlive::Close,
        }
        let node = &*found.home.address;
        if let Request::Open(open) = &request {
            self.send_elsewhere(conn, open, reply, node);
        } else if matches!(request, Request::Send(_) | Request::Tcp(_)) {
            self.conns.refuse(&mut self.cx, conn, reply, &Refused::Elsewhere { node }.into());
        } else {
            return Some(request);
        }
        None
    }

    /// The address of the node that serves a user instead of this one.
    pub(crate) fn other_node(&self, user: Option<&User>) -> Option<Box<str>> {
        Some(self.cx.config.place.as_ref()?.elsewhere(&user?.name)?.address.clone())
    }

    /// Opens a response where there is no HTTP.
    pub(crate) fn open_greeted(&mut self, conn: ConnKey, open: &Open) {
        let reply = Reply::xmlsocket();
        match self.other_node(Some(&open.user)) {
            Some(node) => self.send_elsewhere(conn, open, &reply, &node),
            None => self.open(conn, open, reply),
        }
    }
}
