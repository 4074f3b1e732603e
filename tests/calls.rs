//! Methods of a shard never lead back to themselves, nor up to a higher room: what would is a to-do
//! (`turn::todo`).
//!
//! Rust lets methods of one type call each other in a ring, also across files, and no import shows
//! it. A method that is entered while it is under way finds things gone that it has just looked at.
//! So the source is read, and a ring of calls over `self` is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, File, ImplItemFn, ItemImpl, Member, Type};

use crate::tidy::layers;

mod tidy {
    pub(crate) mod layers;
}

/// Types that own a part of a shard.
const OWNERS: [&str; 8] = ["Shard", "BayeuxFront", "TcpFront", "Api", "Core", "Conns", "Cx", "Hub"];

/// Rooms with methods of these types. Not yet `sockjs`, whose service `encke` executes a batch of
/// native commands by a call.
const ROOMS: [&str; 11] =
    ["hub", "turn", "conn", "core", "answer", "exchange", "native", "bayeux", "tcp", "api", "shard"];

#[test]
fn no_method_leads_back_to_itself() {
    let files: Vec<File> = rooms().into_values().flatten().collect();
    for owner in OWNERS {
        let calls = calls_of(owner, &files);
        assert!(calls.len() > 4, "{owner} has hardly any methods: is it still called so?");
        assert_eq!(ring(&calls), None, "methods of {owner} call each other in a ring");
    }
}

#[test]
fn no_room_calls_what_a_higher_one_adds_to_the_core() {
    assert_eq!(calls_up(&rooms()), Vec::<String>::new());
}

#[test]
fn a_call_up_is_found() {
    let room = |text: &str| vec![syn::parse_file(text).unwrap()];
    let core = room("impl Core { fn leave(&mut self) { self.end() } fn owed(&self) {} }");
    let exchange = room("impl Core { fn end(&mut self) { self.owed(); } }");
    let bayeux = room("impl BayeuxFront { fn go(&mut self, core: &mut Core) { core.end(); core.run() } }");
    let native = room("impl Core { fn run(&mut self) {} }");
    let rooms = [("core", core), ("exchange", exchange), ("bayeux", bayeux), ("native", native)];
    assert_eq!(
        calls_up(&rooms.into_iter().collect()),
        ["bayeux calls run of native".to_owned(), "core calls end of exchange".to_owned()]
    );
}

#[test]
fn a_cycle_is_found_across_impl_blocks_and_closures() {
    let text = "
        impl Shard { fn close(&mut self) { self.detach(); } }
        impl Conns { fn detach(&mut self) { self.close(); } fn close(&mut self) {} }
        impl Shard {
            fn detach(&mut self) { let then = |shard: &mut Self| shard.answer(); then(self); }
            fn answer(&mut self) { if true { Self::close(self) } }
        }";
    let file = syn::parse_file(text).unwrap();
    let ring_of = |owner| ring(&calls_of(owner, std::slice::from_ref(&file)));
    assert_eq!(ring_of("Shard").unwrap(), "answer → close → detach → answer");
    assert_eq!(ring_of("Conns"), None);
}

#[test]
fn a_method_that_calls_itself_is_a_cycle() {
    let file = syn::parse_file("impl Hub { fn look(&self) { self.look() } }").unwrap();
    assert_eq!(ring(&calls_of("Hub", &[file])).unwrap(), "look → look");
}

/// The methods of a type, each with what it calls over `self`.
type Calls = BTreeMap<String, BTreeSet<String>>;

/// Collects the calls of one type's methods.
struct Reader<'a> {
    owner: &'a str,
    method: Option<String>,
    calls: Calls,
}

impl Reader<'_> {
    fn note(&mut self, callee: String) {
        if let Some(method) = &self.method {
            self.calls.entry(method.clone()).or_default().insert(callee);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let Type::Path(of) = &*item.self_ty else { return };
        if item.trait_.is_none() && of.path.segments.last().is_some_and(|last| last.ident == self.owner) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'ast ImplItemFn) {
        let name = method.sig.ident.to_string();
        self.calls.entry(name.clone()).or_default();
        self.method = Some(name);
        visit::visit_impl_item_fn(self, method);
        self.method = None;
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let Expr::Path(receiver) = &*call.receiver
            && (receiver.path.is_ident("self") || receiver.path.is_ident("shard"))
        {
            self.note(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let [first, last] = &*path.path.segments.iter().collect::<Vec<_>>()
            && (first.ident == "Self" || first.ident == self.owner)
        {
            self.note(last.ident.to_string());
        }
        visit::visit_expr_call(self, call);
    }
}

fn calls_of(owner: &str, files: &[File]) -> Calls {
    let mut reader = Reader { owner, method: None, calls: Calls::new() };
    for file in files {
        reader.visit_file(file);
    }
    let methods: BTreeSet<String> = reader.calls.keys().cloned().collect();
    reader.calls.values_mut().for_each(|callees| callees.retain(|callee| methods.contains(callee)));
    reader.calls
}

/// A way from a method to itself, if there is one.
fn ring(calls: &Calls) -> Option<String> {
    let mut done = BTreeSet::new();
    let found = calls.keys().find_map(|method| ring_from(method, calls, &mut Vec::new(), &mut done));
    found.map(|ring| ring.join(" → "))
}

/// The same from one method, to which `way` leads. From those that are `done` there is none.
fn ring_from<'a>(
    method: &'a str,
    calls: &'a Calls,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(begins) = way.iter().position(|before| *before == method) {
        return Some(way[begins..].iter().copied().chain([method]).collect());
    }
    if done.contains(method) {
        return None;
    }
    way.push(method);
    let found = calls[method].iter().find_map(|callee| ring_from(callee, calls, way, done));
    way.pop();
    done.insert(method);
    found
}

/// The files of each room.
fn rooms() -> BTreeMap<&'static str, Vec<File>> {
    ROOMS.iter().map(|room| (*room, parsed(&Path::new("src").join(room)))).collect()
}

/// Calls of a room to methods of `Core` that a room stands for which is not below it.
fn calls_up(rooms: &BTreeMap<&str, Vec<File>>) -> Vec<String> {
    let homes: BTreeMap<String, &str> = rooms
        .iter()
        .flat_map(|(room, files)| calls_of("Core", files).into_keys().map(|method| (method, *room)))
        .collect();
    let mut found = BTreeSet::new();
    for (room, files) in rooms {
        let mut reader = CoreCalls::default();
        for file in files {
            reader.visit_file(file);
        }
        for callee in reader.callees {
            let Some(home) = homes.get(&callee).filter(|home| *home != room) else { continue };
            if layers::rank(home) >= layers::rank(room) {
                found.insert(format!("{room} calls {callee} of {home}"));
            }
        }
    }
    found.into_iter().collect()
}

/// Collects the calls of methods of `Core`: over `self` in its own methods, over `core` in others.
#[derive(Default)]
struct CoreCalls {
    is_core: bool,
    callees: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for CoreCalls {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let Type::Path(of) = &*item.self_ty else { return };
        self.is_core = of.path.segments.last().is_some_and(|last| last.ident == "Core");
        visit::visit_item_impl(self, item);
        self.is_core = false;
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let is_core = match &*call.receiver {
            Expr::Path(receiver) => {
                receiver.path.is_ident("core") || (self.is_core && receiver.path.is_ident("self"))
            }
            Expr::Field(field) => matches!(&field.member, Member::Named(name) if name == "core"),
            _ => false,
        };
        if is_core {
            self.callees.insert(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }
}

fn parsed(dir: &Path) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    rust_files(&root.join(dir)).into_iter().map(read).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| if path.is_dir() { rust_files(&path) } else { vec![path] };
    entries.flat_map(of).filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}
