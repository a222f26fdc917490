//! The table of PROTOCOL 4.1, row by row.
#![allow(missing_docs)]

#[path = "common/alone.rs"]
mod alone;

use alone::{End, ME, OTHER, PEER, close, data, data_of, open, segment};
use link::wire::Binding;
use link::wire::segment::{Ack, Close, Open, VERSION};
use link::{CloseCode, Event, Loss, State};

#[test]
fn opening_calls_and_goes_on_calling() {
    let mut end = End::opening();
    end.wait(0);
    assert_eq!(end.said(), ["OPEN 5 0 answer"]);
    assert!(end.said().is_empty());
    let mut stray = Vec::new();
    for us in [250_000, 500_000, 1_000_000, 1_000_000, 1_000_000] {
        end.wait(us - 1);
        assert!(end.said().is_empty());
        let due = end.link.poll_timeout().expect("a next call").since(end.now);
        assert!(due <= us / 4, "{due} beyond {us}");
        end.wait(due);
        assert_eq!(end.said(), ["OPEN 5 0 answer"]);
        stray.push(due);
    }
    assert!(stray[2] != stray[3] && stray[3] != stray[4], "{stray:?}");
    end.wait(3_600_000_000);
    assert_eq!(end.link.state(), State::Opening);
}

#[test]
fn opening_ignores_what_is_not_for_it() {
    let mut end = End::opening();
    for wire in [data(0), close(PEER, OTHER), open(ME, 0, VERSION)] {
        end.hear(&wire);
    }
    assert_eq!((end.link.state(), end.events()), (State::Opening, vec![Event::Echo]));
    assert_eq!(end.link.readable(), 0);
}

#[test]
fn opening_learns_the_peer() {
    let mut end = End::greeting();
    assert_eq!(end.link.state(), State::Greeting);
    end.wait(0);
    assert_eq!(end.said(), ["OPEN 5 6 answer"]);
    let end = End::open();
    assert_eq!(end.link.state(), State::Open);
}

#[test]
fn greeting_ignores_data_and_takes_the_latest_peer() {
    let mut end = End::greeting();
    end.hear(&data(0));
    assert_eq!(end.link.state(), State::Greeting);
    end.hear(&open(OTHER, 0, VERSION));
    end.wait(0);
    assert_eq!(end.said(), ["OPEN 5 9 answer"]);
    end.hear(&open(OTHER, ME, VERSION));
    assert_eq!(end.events(), [Event::Opened { me: ME, peer: OTHER }]);
}

#[test]
fn greeting_forgets_a_silent_peer() {
    let mut end = End::greeting();
    end.wait(60_000_000);
    assert_eq!(end.link.state(), State::Opening);
    end.wait(1_000_000);
    assert_eq!(end.said(), ["OPEN 5 0 answer"]);
}

#[test]
fn open_answers_the_same_peer_and_ends_with_another() {
    let mut end = End::open();
    end.hear(&open(PEER, 0, VERSION));
    assert_eq!(end.said(), ["OPEN 5 6"]);
    end.hear(&data(0));
    end.hear(&open(OTHER, 0, VERSION));
    assert_eq!((end.link.state(), end.events()), (State::Ended, vec![Event::Lost(Loss::PeerRestarted)]));
}

#[test]
fn open_begins_again_when_nothing_had_passed() {
    let mut end = End::open();
    end.link.write(b"xyz");
    assert_eq!(end.said(), ["DATA 3"]);
    end.hear(&open(OTHER, 0, VERSION));
    assert_eq!(end.link.state(), State::Greeting);
    end.wait(0);
    assert_eq!(end.said(), ["OPEN 5 9 answer"]);
    end.hear(&open(OTHER, ME, VERSION));
    assert_eq!(end.said(), ["OPEN 5 9", "DATA 3"]);
}

#[test]
fn open_ends_with_another_peer_once_the_end_of_a_stream_came() {
    let mut end = End::open();
    end.hear(&segment(Binding::of(PEER, ME), 0, |w| w.data(0, 0, true, 0, |_| ())));
    assert!(end.link.at_end());
    end.hear(&open(OTHER, 0, VERSION));
    assert_eq!(end.events(), [Event::Lost(Loss::PeerRestarted)]);
}

/// Open, both streams confirmed, and nobody has acknowledged our DONE.
fn delivered() -> End {
    let mut end = End::open();
    end.link.finish();
    end.hear(&segment(Binding::of(PEER, ME), 0, |w| w.data(0, 0, true, 0, |_| ())));
    end.said();
    end.hear(&segment(Binding::of(PEER, ME), 1, |w| w.done(0)));
    end.link.confirm(end.now);
    assert_eq!(end.said(), ["ACK 1", "Done { channel: 0 }"]);
    assert!(end.link.is_delivered() && end.link.state() == State::Open);
    end
}

#[test]
fn open_and_delivered_is_finished_by_any_end() {
    let mut end = delivered();
    end.hear(&open(OTHER, 0, VERSION));
    assert_eq!(end.events(), [Event::Finished]);
    assert!(end.said().is_empty(), "who has left is told nothing");
    let mut end = delivered();
    end.hear(&close(PEER, ME));
    assert_eq!(end.events(), [Event::Finished]);
    assert!(end.said().is_empty());
    let mut end = delivered();
    end.wait(9_999_999);
    end.said();
    assert_eq!(end.link.state(), State::Open);
    end.wait(1);
    assert_eq!(end.events(), [Event::Finished]);
    assert_eq!(end.said(), ["ACK 1", "Done { channel: 0 }", "ACK 1", "Done { channel: 0 }"]);
    let mut end = delivered();
    end.wait(100_000_000);
    assert_eq!(end.events(), [Event::Finished]);
}

#[test]
fn finished_answers_with_done_only_while_nobody_has_acknowledged_it() {
    let mut end = delivered();
    end.wait(10_000_000);
    end.said();
    end.hear(&segment(Binding::of(PEER, ME), 2, |w| w.ping()));
    assert_eq!(end.said(), ["ACK 2", "Done { channel: 0 }"]);
    // what it said last has arrived
    let ack = Ack { newest: 4, damage: 0, slips: 0, run: 5, pairs: heapless::Vec::new() };
    end.hear(&segment(Binding::of(PEER, ME), 3, |w| {
        w.ack(&ack);
        w.ping();
    }));
    assert_eq!(end.said(), ["ACK 3"]);
    end.hear(&segment(Binding::of(PEER, ME), 4, |w| w.ack(&ack)));
    end.hear(&open(OTHER, 0, VERSION));
    end.hear(&close(PEER, ME));
    assert!(end.said().is_empty() && end.link.poll_timeout().is_none());
}

#[test]
fn an_acknowledgement_behind_a_gap_is_not_acknowledged() {
    let mut end = End::open();
    end.hear(&data(0));
    end.wait(2_000);
    end.said();
    let ack = Ack { newest: 0, damage: 0, slips: 0, run: 1, pairs: heapless::Vec::new() };
    end.hear(&segment(Binding::of(PEER, ME), 5, |w| w.ack(&ack)));
    assert!(end.said().is_empty());
}

#[test]
fn silence_and_close_end_an_open_session() {
    let mut end = End::open();
    end.wait(60_000_000);
    assert_eq!(end.events(), [Event::Lost(Loss::Silence)]);
    for mut end in [End::opening(), End::greeting(), End::open()] {
        end.hear(&close(PEER, OTHER));
        end.hear(&close(PEER, ME));
        assert_eq!(end.link.state(), State::Ended);
        assert_eq!(end.events(), [Event::Lost(Loss::PeerClosed(CloseCode::Failed))]);
        end.hear(&open(OTHER, ME, VERSION));
        end.wait(1_000_000);
        assert!(end.said().is_empty(), "an ended session is silent");
    }
}

#[test]
fn another_version_is_refused_but_cannot_end_an_open_session() {
    for version in [VERSION - 1, VERSION + 1] {
        for mut end in [End::opening(), End::greeting()] {
            end.said();
            end.hear(&open(PEER, 0, version));
            assert_eq!(end.events(), [Event::Lost(Loss::Version(version))]);
            assert_eq!(end.said(), ["CLOSE 1", "CLOSE 1"]);
        }
        let mut end = End::open();
        end.hear(&open(OTHER, 0, version));
        assert_eq!(end.link.state(), State::Open);
    }
}

/// It answered our call so: its CLOSE says which one it is.
#[test]
fn another_version_that_refuses_is_named() {
    for version in [VERSION - 1, VERSION + 1] {
        let mut end = End::opening();
        end.wait(0);
        end.hear(&segment(Binding::NONE, 0, |w| w.close(&Close { version, me: PEER, you: ME, code: CloseCode::Version })));
        assert_eq!(end.events(), [Event::Lost(Loss::Version(version))]);
    }
}

/// Whoever else is heard: by that nobody knows that the peer is there.
#[test]
fn frames_of_the_session_are_counted_apart() {
    let taken = |end: &End| end.link.stats().frames_taken;
    let mut end = End::opening();
    end.hear(&open(ME, 0, VERSION));
    assert_eq!(taken(&end), 0, "an echo");
    end.hear(&open(OTHER, 0, VERSION));
    end.hear(&open(PEER, ME, VERSION));
    assert_eq!(taken(&end), 2, "calls");
    let mut end = End::open();
    let before = taken(&end);
    end.link.write(b"x");
    end.said();
    for tx in 0..9 {
        end.hear(&data_of(Binding::of(OTHER, ME), tx));
    }
    end.hear(&data_of(Binding::of(ME, PEER), 0));
    assert_eq!((taken(&end), end.link.stats().frames_in > 3), (before, true), "a stranger, and an echo");
    end.hear(&data(0));
    end.hear(&data(0));
    assert_eq!(taken(&end), before + 1, "the peer, and a copy");
}

#[test]
fn data_is_taken_once_and_acknowledged() {
    let mut end = End::open();
    end.hear(&data(0));
    end.hear(&data(0));
    end.wait(2_000);
    assert_eq!(end.said(), ["ACK 0"]);
    assert_eq!(end.link.readable(), 3);
    end.hear(&data(4)); // a gap: told at once
    assert_eq!(end.said(), ["ACK 4"]);
}

#[test]
fn close_is_told_twice_and_only_to_a_known_peer() {
    let mut end = End::open();
    end.link.close(CloseCode::Interrupted);
    assert_eq!(end.said(), ["CLOSE 3", "CLOSE 3"]);
    assert_eq!(end.events(), [Event::Lost(Loss::Local)]);
    let mut end = End::opening();
    end.link.close(CloseCode::Interrupted);
    assert!(end.said().is_empty());
}

fn done(binding: Binding, tx: u64) -> Vec<u8> {
    segment(binding, tx, |w| w.done(0))
}

/// What it hears of others, and of itself, is no sign of the peer, is not acknowledged, and moves nothing.
#[test]
fn only_frames_of_the_session_are_taken() {
    let of_others =
        [Binding::NONE, Binding::of(ME, PEER), Binding::of(PEER, OTHER), Binding::of(OTHER, ME), Binding::of(OTHER, PEER)];
    for binding in of_others {
        let mut end = End::open();
        for tx in 0..20 {
            end.hear(&data_of(binding, 2 * tx));
            end.hear(&done(binding, 2 * tx + 1));
            end.wait(100_000);
            let said = end.said();
            assert!(said.iter().all(|said| said == "Ping" || said == "DONE"), "{binding:?}: {said:?}");
        }
        assert_eq!((end.link.readable(), end.link.is_delivered(), end.link.is_sent()), (0, false, false), "{binding:?}");
        end.wait(60_000_000);
        let events = end.events();
        let told = if binding == Binding::of(ME, PEER) { Event::Echo } else { Event::Foreign };
        assert_eq!(events, [told, Event::Lost(Loss::Silence)], "{binding:?}");
    }
    let mut end = End::open();
    (0..9).for_each(|_| end.hear(&segment(Binding::of(ME, PEER), 1, |w| w.ping())));
    let stats = end.link.stats();
    assert_eq!((stats.echoes, stats.forged, stats.frames_bad, stats.junk), (9, 0, 0, 0));
}

/// OPEN and CLOSE belong to no session: what says so in a frame of one is none.
#[test]
fn sessions_begin_and_end_outside_of_sessions() {
    let mut end = End::open();
    let ours = Binding::of(PEER, ME);
    end.hear(&segment(ours, 0, |w| w.close(&Close { version: VERSION, me: PEER, you: ME, code: CloseCode::Failed })));
    let open = Open { version: VERSION, answer: true, me: OTHER, you: ME, limit: 4096, payload_max: 1000, features: 0 };
    end.hear(&segment(ours, 0, |w| w.open(&open)));
    assert_eq!((end.link.state(), end.events()), (State::Open, vec![]));
    assert_eq!(end.link.stats().forged, 2);
}

/// Only the peer, once there is one, closes.
#[test]
fn strangers_close_nothing() {
    let mut end = End::open();
    end.hear(&close(OTHER, ME));
    assert_eq!((end.link.state(), end.events()), (State::Open, vec![]));
}
