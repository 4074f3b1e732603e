//! The demos' files, in `examples/`: pages without an ending, the rest under their names.

use crate::assets::{AllowedPages, Asset, CSS, HTML, SCRIPT, TEXT};

macro_rules! demo {
    ($path:literal, $content_type:ident, $file:literal) => {
        Asset::new(
            (concat!("/demo/", $path), $content_type),
            AllowedPages::Own,
            include_bytes!(concat!("../../examples/", $file)),
        )
    };
}

pub(super) static DEMOS: [Asset; 38] = [
    demo!("", HTML, "index.html"),
    demo!("demo.css", CSS, "demo.css"),
    demo!("common.js", SCRIPT, "common.js"),
    demo!("chat", HTML, "chat.html"),
    demo!("chat.js", SCRIPT, "chat.js"),
    demo!("notes", HTML, "notes.html"),
    demo!("notes.js", SCRIPT, "notes.js"),
    demo!("document.js", SCRIPT, "document.js"),
    demo!("sheet.js", SCRIPT, "sheet.js"),
    demo!("ticker", HTML, "ticker.html"),
    demo!("ticker.js", SCRIPT, "ticker.js"),
    demo!("market.js", SCRIPT, "market.js"),
    demo!("exchange.js", SCRIPT, "exchange.js"),
    demo!("transports", HTML, "transports.html"),
    demo!("transports.js", SCRIPT, "transports.js"),
    demo!("readers.js", SCRIPT, "readers.js"),
    demo!("bayeux", HTML, "bayeux.html"),
    demo!("bayeux.js", SCRIPT, "bayeux.js"),
    demo!("bayeux-link.js", SCRIPT, "bayeux-link.js"),
    demo!("bridge.js", SCRIPT, "bridge.js"),
    demo!("sockjs", HTML, "sockjs.html"),
    demo!("sockjs.js", SCRIPT, "sockjs.js"),
    demo!("sockjs-link.js", SCRIPT, "sockjs-link.js"),
    demo!("irc", HTML, "irc.html"),
    demo!("irc.js", SCRIPT, "irc.js"),
    demo!("irc-link.js", SCRIPT, "irc-link.js"),
    // The SockJS client as it was published, under its own licence.
    demo!("sockjs/LICENSE", TEXT, "sockjs/LICENSE"),
    demo!("sockjs/sockjs.min.js", SCRIPT, "sockjs/sockjs.min.js"),
    // The CometD library as it was published, under its own licence.
    demo!("cometd/LICENSE", TEXT, "cometd/LICENSE"),
    demo!("cometd/AckExtension.js", SCRIPT, "cometd/AckExtension.js"),
    demo!("cometd/CallbackPollingTransport.js", SCRIPT, "cometd/CallbackPollingTransport.js"),
    demo!("cometd/Client.js", SCRIPT, "cometd/Client.js"),
    demo!("cometd/Extension.js", SCRIPT, "cometd/Extension.js"),
    demo!("cometd/LongPollingTransport.js", SCRIPT, "cometd/LongPollingTransport.js"),
    demo!("cometd/RequestTransport.js", SCRIPT, "cometd/RequestTransport.js"),
    demo!("cometd/Transport.js", SCRIPT, "cometd/Transport.js"),
    demo!("cometd/TransportRegistry.js", SCRIPT, "cometd/TransportRegistry.js"),
    demo!("cometd/WebSocketTransport.js", SCRIPT, "cometd/WebSocketTransport.js"),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::assets::find;
    use crate::base::ids::ListenerKind;

    #[test]
    fn every_file_of_the_demos_is_served() {
        let mut folders = vec![("/demo/".to_owned(), Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"))];
        while let Some((base, folder)) = folders.pop() {
            for entry in fs::read_dir(folder).expect("the folder is there") {
                let entry = entry.expect("it can be listed");
                let name = entry.file_name().into_string().expect("a plain name");
                if ["backends", "deploy", "xmpp"].contains(&name.as_str()) {
                    // These are to be read, copied and run elsewhere.
                    continue;
                }
                if entry.path().is_dir() {
                    folders.push((format!("{base}{name}/"), entry.path()));
                    continue;
                }
                let served = match name.as_str() {
                    "README.md" => continue,
                    "index.html" => "",
                    other => other.trim_end_matches(".html"),
                };
                let path = format!("{base}{served}");
                assert!(find(ListenerKind::Public, &path).is_some(), "{path} is not served");
            }
        }
    }
}
