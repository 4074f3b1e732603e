//! Which browser a session belongs to, by the cookie `JSESSIONID`.
//!
//! The client chooses a session's name, and requests of a session carry nothing else that only the
//! client knows. With a cookie a session belongs to one browser: another one that learns or
//! guesses the name cannot read its strings or send any.

use subtle::ConstantTimeEq;

/// The browser that sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browser {
    /// Cookies are not asked for.
    Unasked,
    /// It has no cookie, yet or ever. One would need these attributes.
    Unnamed {
        /// As in `Set-Cookie`.
        attributes: &'static str,
    },
    /// It has this cookie.
    Named(Box<str>),
}

/// The browser that a session belongs to.
#[derive(Debug)]
pub enum SessionOwner {
    /// None: who knows the session's name may continue it.
    Anybody,
    /// One that was given this cookie. Whether it keeps it is known from its next request.
    Given(Box<str>),
    /// The one with this cookie.
    Browser(Box<str>),
}

impl SessionOwner {
    /// The owner of a session that a browser begins; `fresh` is the cookie for one without.
    pub fn of(browser: Browser, fresh: impl FnOnce() -> String) -> Self {
        match browser {
            Browser::Unasked => Self::Anybody,
            Browser::Unnamed { .. } => Self::Given(fresh().into()),
            Browser::Named(cookie) => Self::Browser(cookie),
        }
    }

    /// Whether a browser may continue the session. The first request after the one that began it
    /// decides for good about a client that had no cookie: many programs keep none.
    pub fn admits(&mut self, browser: &Browser) -> bool {
        match (&mut *self, browser) {
            (Self::Anybody, _) => true,
            (Self::Given(_), Browser::Unasked | Browser::Unnamed { .. }) => {
                *self = Self::Anybody;
                true
            }
            (Self::Given(given), Browser::Named(cookie)) => {
                let is_same = same(given, cookie);
                if is_same {
                    *self = Self::Browser(std::mem::take(given));
                }
                is_same
            }
            (Self::Browser(_), Browser::Unasked | Browser::Unnamed { .. }) => false,
            (Self::Browser(own), Browser::Named(cookie)) => same(own, cookie),
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNNAMED: Browser = Browser::Unnamed { attributes: "Path=/" };

    fn named(cookie: &str) -> Browser {
        Browser::Named(cookie.into())
    }

    #[test]
    fn a_session_belongs_to_the_cookie_that_began_it() {
        let mut owner = SessionOwner::of(named("a"), || panic!("it has one"));
        let asks = [named("a"), named("b"), UNNAMED, Browser::Unasked];
        assert_eq!(asks.map(|browser| owner.admits(&browser)), [true, false, false, false]);
    }

    #[test]
    fn a_cookie_that_was_given_counts_from_its_return() {
        let mut owner = SessionOwner::of(UNNAMED, || "a".into());
        assert!(!owner.admits(&named("b")), "another browser");
        assert!(owner.admits(&named("a")));
        assert!(!owner.admits(&UNNAMED), "it has been seen to keep cookies");
    }

    #[test]
    fn a_client_without_cookies_goes_on_without() {
        let mut owner = SessionOwner::of(UNNAMED, || "a".into());
        assert!(owner.admits(&UNNAMED));
        assert!(owner.admits(&UNNAMED));
        let mut owner = SessionOwner::of(Browser::Unasked, || panic!("none is asked for"));
        assert!(owner.admits(&named("b")));
    }
}
