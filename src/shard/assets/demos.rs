//! The demos' files, in `examples/`: pages without an ending, the rest under their names.

use super::{Asset, Audience, CSS, HTML, SCRIPT};

macro_rules! demo {
    ($path:literal, $content_type:ident, $file:literal) => {
        Asset::new(
            (concat!("/demo/", $path), $content_type),
            Audience::Own,
            include_bytes!(concat!("../../../examples/", $file)),
        )
    };
}

pub(super) static DEMOS: [Asset; 16] = [
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
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::find;
    use crate::shard::input::Door;

    #[test]
    fn every_file_of_the_demos_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let name = entry.expect("it can be listed").file_name().into_string().expect("a plain name");
            let served = match name.as_str() {
                "README.md" => continue,
                "index.html" => "",
                other => other.trim_end_matches(".html"),
            };
            let path = format!("/demo/{served}");
            assert!(find(Door::Public, &path).is_some(), "{path} is not served");
        }
    }
}
