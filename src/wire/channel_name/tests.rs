//! Channel names and patterns: the grammar, and that covering and matching agree.

use proptest::prelude::*;

use crate::wire::channel_name::*;

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad}"))
}

fn refused(text: &str) -> BadName {
    ChannelName::parse(text).expect_err(text)
}

#[test]
fn every_kind_of_name_is_told_apart() {
    assert_eq!(name("/chat/room1").kind(), ChannelKind::Exact);
    assert_eq!(name("/user/alice").kind(), ChannelKind::Exact);
    assert_eq!(name("/metal/x").kind(), ChannelKind::Exact);
    assert_eq!(name("/a/meta").kind(), ChannelKind::Exact);
    assert_eq!(name("/chat/*").kind(), ChannelKind::PatternOne { prefix: "/chat" });
    assert_eq!(name("/*").kind(), ChannelKind::PatternOne { prefix: "" });
    assert_eq!(name("/a/b/**").kind(), ChannelKind::PatternDeep { prefix: "/a/b" });
    assert_eq!(name("/**").kind(), ChannelKind::PatternDeep { prefix: "" });
    assert_eq!(name("/u/alice").kind(), ChannelKind::Personal { encoded: "alice" });
    assert_eq!(name("/u/*").kind(), ChannelKind::PatternOne { prefix: "/u" });
    for reserved in ["/meta", "/meta/handshake", "/meta/*", "/meta/**", "/service", "/service/a/b"] {
        assert_eq!(name(reserved).kind(), ChannelKind::Reserved, "{reserved}");
    }
}

#[test]
fn the_error_names_the_byte_and_its_offset() {
    assert_eq!(refused("/chat/a b"), BadName::BadByte { at: 7, byte: b' ' });
    assert_eq!(refused("/chat/é"), BadName::BadByte { at: 6, byte: 0xc3 });
    assert_eq!(refused("/a\0"), BadName::BadByte { at: 2, byte: 0 });
    assert_eq!(refused("/a\r\nb"), BadName::BadByte { at: 2, byte: b'\r' });
    assert_eq!(refused("/a?b"), BadName::BadByte { at: 2, byte: b'?' });
    let text = refused("/chat/a b").to_string();
    assert!(text.contains("0x20") && text.contains("offset 7") && text.contains("A-Z a-z 0-9"), "{text}");
}

#[test]
fn slashes_stand_between_segments_and_in_front_only() {
    assert_eq!(refused(""), BadName::NoLeadingSlash);
    assert_eq!(refused("chat"), BadName::NoLeadingSlash);
    assert_eq!(refused("/"), BadName::EmptySegment { at: 1 });
    assert_eq!(refused("/a/"), BadName::EmptySegment { at: 3 });
    assert_eq!(refused("/a//b"), BadName::EmptySegment { at: 3 });
    assert_eq!(refused("//"), BadName::EmptySegment { at: 1 });
}

#[test]
fn a_wildcard_is_the_whole_last_segment_or_refused() {
    assert_eq!(refused("/*/a"), BadName::StrayWildcard { at: 1 });
    assert_eq!(refused("/**/a"), BadName::StrayWildcard { at: 1 });
    assert_eq!(refused("/a/b*"), BadName::StrayWildcard { at: 4 });
    assert_eq!(refused("/a/***"), BadName::StrayWildcard { at: 3 });
    assert_eq!(refused("/a/*/"), BadName::StrayWildcard { at: 3 });
}

#[test]
fn bounds_hold_at_the_bound_and_break_one_beyond() {
    let long = format!("/{}", "a".repeat(NAME_BYTES_MAX - 1));
    assert_eq!(name(&long).as_str(), long);
    assert_eq!(refused(&format!("{long}a")), BadName::TooLong { bytes: 256, max: 255 });
    let deep = "/a".repeat(SEGMENTS_MAX);
    assert_eq!(name(&deep).candidates().count(), SEGMENTS_MAX + 1);
    assert_eq!(refused(&format!("{deep}/a")), BadName::TooManySegments);
    assert_eq!(refused(&format!("{deep}/*")), BadName::TooManySegments);
}

#[test]
fn one_user_has_one_personal_name() {
    for spelling in ["/u/alice", "/u/%61lice", "/u/%61%6C%69%63%65", "/u/%61%6c%69%63%65"] {
        assert_eq!(name(spelling).as_str(), "/u/alice", "{spelling}");
    }
    assert_eq!(name("/u/a@b.c").as_str(), "/u/a%40b.c");
    assert_eq!(name("/u/a%2fb").as_str(), "/u/a%2Fb");
    assert_eq!(name("/u/%2A"), ChannelName::personal("*").unwrap());
    assert_eq!(name("/u/%C3%A9"), ChannelName::personal("é").unwrap());
    assert!(name("/u/%C3%A9").is_personal_of("é"));
    assert!(!name("/u/alice").is_personal_of("alic"));
    assert!(!name("/u/alice").is_personal_of("alicex"));
    assert!(!name("/chat/alice").is_personal_of("alice"));
}

#[test]
fn a_bad_personal_name_says_what_is_wrong() {
    assert_eq!(refused("/u"), BadName::NotPersonal);
    assert_eq!(refused("/u/"), BadName::BadUser);
    assert_eq!(refused("/u/alice/x"), BadName::NotPersonal);
    assert_eq!(refused("/u/alice/*"), BadName::NotPersonal);
    assert_eq!(refused("/u/a%"), BadName::BadEscape { at: 4 });
    assert_eq!(refused("/u/a%4"), BadName::BadEscape { at: 4 });
    assert_eq!(refused("/u/%+1"), BadName::BadEscape { at: 3 });
    assert_eq!(refused("/u/%é"), BadName::BadEscape { at: 3 });
    assert_eq!(refused("/u/%FF"), BadName::BadUser);
    assert_eq!(refused("/u/%00"), BadName::BadUser);
    assert_eq!(refused("/u/a*"), BadName::StrayWildcard { at: 4 });
    assert_eq!(refused("/u/a b"), BadName::BadByte { at: 4, byte: b' ' });
    assert_eq!(refused("/chat/%41"), BadName::BadByte { at: 6, byte: b'%' });
}

#[test]
fn the_longest_user_still_has_a_personal_name() {
    let user = "é".repeat(USER_BYTES_MAX / 2);
    let personal = ChannelName::personal(&user).unwrap();
    assert_eq!(personal.as_str().len(), PERSONAL_BYTES_MAX);
    assert_eq!(name(personal.as_str()), personal);
    assert_eq!(ChannelName::personal(&format!("{user}a")), Err(BadName::BadUser));
    assert_eq!(ChannelName::personal(""), Err(BadName::BadUser));
}

#[test]
fn a_star_matches_one_segment_and_two_any_depth() {
    assert!(name("/chat/*").matches(&name("/chat/x")));
    assert!(!name("/chat/*").matches(&name("/chat/x/y")));
    assert!(!name("/chat/*").matches(&name("/chat")));
    assert!(!name("/chat/*").matches(&name("/chatter/x")));
    assert!(name("/chat/**").matches(&name("/chat/x/y")));
    assert!(!name("/chat/**").matches(&name("/chat")));
    assert!(name("/**").matches(&name("/x")));
    assert!(name("/x").matches(&name("/x")));
}

#[test]
fn no_pattern_reaches_personal_or_reserved_channels() {
    for pattern in ["/**", "/*", "/u/*", "/u/**", "/meta/**", "/meta/*", "/service/**"] {
        for channel in ["/u/alice", "/meta/connect", "/service/x", "/meta"] {
            assert!(!name(pattern).matches(&name(channel)), "{pattern} {channel}");
            assert!(!name(pattern).covers(&name(channel)), "{pattern} {channel}");
        }
    }
    assert!(!name("/meta/**").covers(&name("/meta/*")));
    assert!(!name("/**").covers(&name("/meta/*")));
    assert!(name("/u/alice").matches(&name("/u/%61lice")));
}

#[test]
fn cover_is_decided_by_prefix_and_reach() {
    assert!(name("/chat/**").covers(&name("/chat/*")));
    assert!(name("/chat/**").covers(&name("/chat/a/**")));
    assert!(name("/chat/**").covers(&name("/chat/**")));
    assert!(name("/chat/*").covers(&name("/chat/*")));
    assert!(name("/chat/*").covers(&name("/chat/x")));
    assert!(!name("/chat/*").covers(&name("/chat/**")));
    assert!(!name("/chat/*").covers(&name("/chat/a/*")));
    assert!(!name("/chat/a").covers(&name("/chat/*")));
    assert!(!name("/chat/**").covers(&name("/**")));
    assert!(!name("/chat/**").covers(&name("/chatter/**")));
}

#[test]
fn candidates_come_nearest_first() {
    let mut buffer = String::new();
    let spelled: Vec<_> =
        name("/a/b/c").candidates().map(|candidate| candidate.spell(&mut buffer).to_owned()).collect();
    assert_eq!(spelled, ["/a/b/*", "/a/b/**", "/a/**", "/**"]);
    assert_eq!(name("/a").candidates().count(), 2);
    for none in ["/u/alice", "/a/*", "/a/**", "/meta/x", "/service/y/z"] {
        assert_eq!(name(none).candidates().count(), 0, "{none}");
    }
}

/// The slow, obvious twin of [`ChannelName::matches`] for shared names.
fn matches_by_segments(pattern: &str, channel: &str) -> bool {
    let (pattern, channel): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), channel.split('/').collect());
    let fixed = pattern.len() - 1;
    match pattern[fixed] {
        "*" => channel.len() == pattern.len() && channel[..fixed] == pattern[..fixed],
        "**" => channel.len() >= pattern.len() && channel[..fixed] == pattern[..fixed],
        _ => pattern == channel,
    }
}

fn channels() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "aa"]), 1..5)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn patterns() -> impl Strategy<Value = String> {
    let prefixes = prop::collection::vec(prop::sample::select(vec!["/a", "/b", "/aa"]), 0..4);
    let patterns =
        (prefixes, prop::sample::select(vec!["/*", "/**"])).prop_map(|(prefix, end)| prefix.concat() + end);
    prop_oneof![patterns, channels()]
}

/// Channels, at least one of which distinguishes `pattern` from every pattern that does not cover
/// it.
fn witnesses(pattern: &str) -> Vec<String> {
    match (pattern.strip_suffix("/**"), pattern.strip_suffix("/*")) {
        (Some(prefix), _) => vec![format!("{prefix}/zz"), format!("{prefix}/zz/zz")],
        (None, Some(prefix)) => vec![format!("{prefix}/zz")],
        (None, None) => vec![pattern.to_owned()],
    }
}

proptest! {
    #[test]
    fn matching_agrees_with_its_slow_twin(pattern in patterns(), channel in channels()) {
        prop_assert_eq!(name(&pattern).matches(&name(&channel)), matches_by_segments(&pattern, &channel));
    }

    #[test]
    fn what_is_covered_is_matched(p in patterns(), q in patterns(), channel in channels()) {
        let (p, q, channel) = (name(&p), name(&q), name(&channel));
        if p.covers(&q) && q.matches(&channel) {
            prop_assert!(p.matches(&channel), "{} {} {}", p, q, channel);
        }
    }

    #[test]
    fn what_is_not_covered_has_a_witness(p in patterns(), q in patterns()) {
        let missed = witnesses(&q).iter().any(|witness| !name(&p).matches(&name(witness)));
        prop_assert_eq!(name(&p).covers(&name(&q)), !missed, "{} {}", p, q);
    }

    #[test]
    fn candidates_are_exactly_the_patterns_that_match(channel in channels(), pattern in patterns()) {
        let (channel, pattern) = (name(&channel), name(&pattern));
        let mut buffer = String::new();
        let listed = channel.candidates().any(|candidate| candidate.spell(&mut buffer) == pattern.as_str());
        prop_assert_eq!(listed, pattern.is_pattern() && pattern.matches(&channel));
    }

    #[test]
    fn any_text_parses_to_its_own_name_or_is_refused(text in "\\PC{0,40}|/[a-zA-Z0-9/*%.u]{0,30}") {
        if let Ok(parsed) = ChannelName::parse(&text) {
            prop_assert_eq!(ChannelName::parse(parsed.as_str()), Ok(parsed.clone()));
            prop_assert_eq!(parsed.is_pattern(), text.ends_with('*'));
        }
    }

    #[test]
    fn a_personal_name_leads_back_to_its_user(user in "\\PC{1,30}", other in "\\PC{1,30}") {
        prop_assume!(user.len() <= USER_BYTES_MAX);
        let personal = ChannelName::personal(&user).unwrap();
        prop_assert_eq!(&name(personal.as_str()), &personal);
        prop_assert!(personal.is_personal_of(&user));
        prop_assert_eq!(personal.is_personal_of(&other), user == other);
    }
}

#[test]
fn only_what_is_below_service_and_no_pattern_is_a_service() {
    for (text, is_service) in [
        ("/service/x", true),
        ("/service/x/y", true),
        ("/service", false),
        ("/service/*", false),
        ("/service/x/**", false),
        ("/services/x", false),
        ("/a/service/x", false),
        ("/meta/service/x", false),
    ] {
        assert_eq!(ChannelName::parse(text).unwrap().is_service(), is_service, "{text}");
    }
}
