//! Who comes in: a one-time token in the address that the command prints, and the cookie that it is
//! exchanged for.
//!
//! A listener on the loopback interface is reached by every user and program of the machine. The
//! token is shown to the person
//! alone, holds for one use, and the cookie that comes of it is never sent along from another site.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

/// How long a session holds.
pub const SESSION_HOURS_MAX: u64 = 12;

/// Most sessions: the oldest ends for a further one.
const SESSIONS_MAX: usize = 32;

/// Only digests are kept, so that comparing takes as long whatever is presented.
type Secret = [u8; 32];

/// Tokens and sessions.
#[derive(Debug)]
pub struct Door {
    cookie: String,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    token: Option<Secret>,
    sessions: BTreeMap<Secret, Instant>,
}

fn digest(secret: &str) -> Secret {
    Sha256::digest(secret.as_bytes()).into()
}

fn secret() -> String {
    hex::encode(rand::rng().random::<[u8; 32]>())
}

impl Door {
    /// Of the console on this port. Cookies are shared by all ports of a host, so that the name has
    /// the port.
    pub fn new(port: u16) -> Self {
        Self { cookie: format!("sluice-console-{port}"), inside: Mutex::default() }
    }

    /// A new token. One that was not used ends.
    pub fn token(&self) -> String {
        let token = secret();
        self.inside().token = Some(digest(&token));
        token
    }

    /// Exchanges a token for the value of the header `set-cookie`; `None` if it is not the one that
    /// holds.
    pub fn enter(&self, token: &str) -> Option<String> {
        let presented = digest(token);
        let mut inside = self.inside();
        if inside.token != Some(presented) {
            return None;
        }
        inside.token = None;
        let session = secret();
        let now = Instant::now();
        inside.sessions.retain(|_, since| now.duration_since(*since) < lifetime());
        while inside.sessions.len() >= SESSIONS_MAX {
            let oldest =
                inside.sessions.iter().min_by_key(|(_, since)| **since).map(|(session, _)| *session)?;
            inside.sessions.remove(&oldest);
        }
        inside.sessions.insert(digest(&session), now);
        let seconds = lifetime().as_secs();
        Some(format!("{}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict", self.cookie))
    }

    /// Whether a request's cookies have a session that holds.
    pub fn is_open(&self, headers: &http::HeaderMap) -> bool {
        let now = Instant::now();
        let inside = self.inside();
        cookies(headers).any(|(name, value)| {
            name == self.cookie
                && inside
                    .sessions
                    .get(&digest(value))
                    .is_some_and(|since| now.duration_since(*since) < lifetime())
        })
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lifetime() -> Duration {
    Duration::from_secs(SESSION_HOURS_MAX * 3600)
}

/// A request's cookies.
pub fn cookies(headers: &http::HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn with(cookie: &str) -> http::HeaderMap {
        let pair = cookie.split(';').next().unwrap();
        http::HeaderMap::from_iter([(http::header::COOKIE, format!("a=b; {pair}").parse().unwrap())])
    }

    #[test]
    fn a_token_opens_once() {
        let door = Door::new(8789);
        assert!(door.enter("").is_none(), "before there is one");
        let token = door.token();
        assert!(door.enter("x").is_none());
        let cookie = door.enter(&token).unwrap();
        assert!(cookie.starts_with("sluice-console-8789="));
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"));
        assert!(door.is_open(&with(&cookie)));
        assert!(door.enter(&token).is_none(), "a second time");
        let (first, second) = (door.token(), door.token());
        assert!(door.enter(&first).is_none(), "a newer one is there");
        assert!(door.enter(&second).is_some());
    }

    #[test]
    fn a_session_is_of_one_console() {
        let door = Door::new(8789);
        let cookie = door.enter(&door.token()).unwrap();
        assert!(!Door::new(8789).is_open(&with(&cookie)), "of another start");
        assert!(!door.is_open(&with(&cookie.replace("8789", "8790"))));
        assert!(!door.is_open(&http::HeaderMap::new()));
    }

    #[test]
    fn sessions_are_bounded() {
        let door = Door::new(1);
        let first = door.enter(&door.token()).unwrap();
        for _ in 0..SESSIONS_MAX {
            door.enter(&door.token()).unwrap();
        }
        assert!(!door.is_open(&with(&first)), "the oldest ended");
    }
}
