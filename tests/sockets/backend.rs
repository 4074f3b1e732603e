//! A backend that web hooks call: it passes each call to the test, and answers when and as the test
//! wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::node::PATIENCE;

/// A server on its own port, until the test ends.
pub(crate) struct Backend {
    address: SocketAddr,
    calls: Receiver<Call>,
}

/// A call that waits for its answer. If it is dropped without one, its connection is closed.
pub(crate) struct Call {
    pub(crate) asked: Value,
    /// The text as received.
    pub(crate) text: String,
    answer: Sender<(u16, String)>,
}

impl Backend {
    /// A backend whose calls the test answers.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, calls) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, &sender));
            }
        });
        Self { address, calls }
    }

    /// A backend that answers by itself.
    pub(crate) fn answering(answer: impl Fn(&Value) -> (u16, String) + Send + 'static) -> String {
        let backend = Self::start();
        let url = backend.url();
        thread::spawn(move || {
            while let Ok(call) = backend.calls.recv() {
                let (status, body) = answer(&call.asked);
                call.answer(status, &body);
            }
        });
        url
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next call.
    pub(crate) fn call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).expect("the hook is called")
    }

    /// Asserts that no call arrives within some time.
    pub(crate) fn assert_silent(&self, time: Duration) {
        assert!(matches!(self.calls.recv_timeout(time), Err(RecvTimeoutError::Timeout)), "a call");
    }
}

impl Call {
    pub(crate) fn answer(self, status: u16, body: &str) {
        // The test may no longer wait for it.
        let _ = self.answer.send((status, body.to_owned()));
    }
}

fn serve(stream: TcpStream, sender: &Sender<Call>) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader) {
        assert!(head.starts_with("post /hook http/1.1"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        let (answer, answers) = channel();
        let text = String::from_utf8(body).expect("JSON is UTF-8");
        let asked = serde_json::from_str(&text).expect("JSON");
        let Ok(()) = sender.send(Call { asked, text, answer }) else { return };
        let Ok((status, body)) = answers.recv() else { return };
        let response = format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if reader.get_mut().write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

/// The head in lower case, and the body; `None` at the end of the connection.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
