//! A backend in Rust: `cargo run --example backend -- publish alice hi`, or `token alice`, or
//! `hook 8090`. Its crates are `jsonwebtoken`, `serde_json`, `tiny_http` and `ureq`.

use std::env::{args, var};
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tiny_http::{Response, Server};

fn publish(user: &str, text: &str) -> Result<(), Box<dyn Error>> {
    // `user` is percent-encoded where it may hold other characters than letters and digits.
    let url = format!("{}/u/{user}/publish", var("API_URL")?);
    let key = format!("Bearer {}", var("ENCKE_API_KEY")?);
    let body = json!({ "text": text }).to_string();
    let mut answer =
        ureq::post(url).header("Authorization", key).content_type("application/json").send(body)?;
    println!("{}", answer.body_mut().read_to_string()?);
    Ok(())
}

fn token(user: &str) -> Result<(), Box<dyn Error>> {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3600;
    let claims = json!({ "sub": user, "exp": expires, "channels": { "/chat/**": "rw", "/news/**": "rw" } });
    let key = EncodingKey::from_secret(var("ENCKE_TOKEN_KEY")?.as_bytes());
    println!("{}", encode(&Header::default(), &claims, &key)?);
    Ok(())
}

fn hook(port: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::http(format!("127.0.0.1:{port}")).map_err(|error| error.to_string())?;
    for mut request in server.incoming_requests() {
        let event: Value = serde_json::from_reader(request.as_reader())?;
        let is_news = event["event"] == "publish"
            && event["channel"].as_str().is_some_and(|name| name.starts_with("/news/"));
        let status = if is_news && event["user"] != "editor" { 403 } else { 200 };
        let answer = if event["event"] == "service" {
            json!({ "data": { "asked": event["data"] } })
        } else {
            json!({})
        };
        request.respond(Response::from_string(answer.to_string()).with_status_code(status))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["publish", user, text] => publish(user, text),
        ["token", user] => token(user),
        ["hook", port] => hook(port),
        _ => Err("usage: publish USER TEXT | token USER | hook PORT".into()),
    }
}
