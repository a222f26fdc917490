//! Real processes on a wire that is not transparent, or very slow: what they say is what there is to see.
#![allow(missing_docs)]

mod common;

use common::{Wire, bytes, until};

/// All bytes of value 0 are gone, and each call has some.
#[test]
fn a_wire_that_eats_what_every_call_has_is_named() {
    let wire = Wire::with(&["--eat", "00"]);
    let pipe = |end: &str| wire.feed(end, wire.rig().pipe(end, common::BAUD).args(["--plain", "--grace", "6s"]), b"");
    let (a, b) = (pipe("a"), pipe("b"));
    for end in ["a", "b"] {
        until("it says what there is to see", || wire.log(end).contains("[bytes-altered]").then_some(()));
    }
    // whoever ends first is not heard by the other any more
    let code = until("one of them ends", || a.running.ended().or(b.running.ended()));
    assert_eq!(code, 5);
    for said in ["a", "b"].map(|end| wire.log(end)) {
        assert!(said.contains("with frames in them of which none was whole: does the wire swallow"), "{said}");
        assert!(!said.contains("wrong baud rate"), "{said}");
    }
}

/// A plain frame with a doubled byte in it never arrives: the session lives on signs of life, and says so.
#[test]
fn a_session_in_which_nothing_gets_through_says_so() {
    let wire = Wire::with(&["--double", "ff"]);
    let pipe =
        |end: &str, input: &[u8]| wire.feed(end, wire.rig().pipe(end, common::BAUD).args(["--plain", "--grace", "4s"]), input);
    let (a, b) = (pipe("a", &bytes(30_000, 5)), pipe("b", b""));
    for end in ["a", "b"] {
        until("it says that nothing gets through", || {
            let log = wire.log(end);
            (log.contains("nothing has got through for ") && log.contains("[bytes-altered]")).then_some(())
        });
    }
    assert!(a.running.ended().is_none() && b.running.ended().is_none(), "{} {}", wire.log("a"), wire.log("b"));
}

/// 300 baud are a good wire: a call takes seconds there, and nobody is blamed for it.
#[test]
fn a_slow_wire_is_not_strange() {
    let wire = Wire::at("300", &[]);
    let key = wire.text("key");
    wire.run("keygen", std::process::Command::new(common::HARDLINE).args(["keygen", "--psk", &key]));
    let pipe = |end: &str, input: &[u8]| wire.feed(end, wire.rig().pipe(end, 300).args(["--psk", &key]), input);
    let (a, b) = (pipe("a", b"a"), pipe("b", b"b"));
    for (ended, came) in [(a.end(), b"b"), (b.end(), b"a")] {
        assert_eq!((ended.code, ended.out.as_slice()), (0, &came[..]), "{}", ended.said);
        assert_eq!(ended.said, "");
    }
}
