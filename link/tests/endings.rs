//! How sessions end, and how they go on when a peer is started anew: an end says that all was delivered where it was,
//! and nowhere else; nobody waits for ever on a good wire.
#![allow(missing_docs)]

mod common;

use common::duo::{ALL, Duo, Kind, SOLE, kind};
use common::for_seeds;
use link::sim::Random;
use link::{CloseCode, Config, Event, Loss, State};

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

fn config() -> Config {
    Config::for_baud(115_200)
}

/// Both have read all, the peer has said so and knows that we know; we say so last, and nobody hears it.
fn alone_with_the_last_word(kind: Kind, config: Config) -> Duo {
    let mut duo = Duo::new(kind, config, [b"from a", b"from b"]);
    duo.ends[0].confirms = false;
    duo.until("all is read", 5 * SECOND, |duo| duo.ends[0].link.at_end() && duo.ends[1].link.at_end());
    duo.run(3 * SECOND);
    duo.cut(true);
    duo.ends[0].confirms = true;
    duo
}

/// The last word is lost, and nothing else comes either.
#[test]
fn an_end_that_said_done_last_is_finished_though_it_hears_nothing_more() {
    for kind in SOLE {
        for grace in [1, 2, 5, 9, 10, 11, 15, 60] {
            let mut duo = alone_with_the_last_word(kind, Config { grace_us: grace * SECOND, ..config() });
            if grace < 4 {
                // nobody may wait so long before it speaks
                duo = Duo::new(kind, Config { grace_us: grace * SECOND, ..config() }, [b"from a", b"from b"]);
                duo.ends[0].confirms = false;
                duo.until("all is read", 5 * SECOND, |duo| duo.ends[0].link.at_end() && duo.ends[1].link.at_end());
                duo.cut(true);
                duo.ends[0].confirms = true;
            }
            duo.ends[1].gone = true;
            duo.until("an end", 61 * SECOND, |duo| duo.ends[0].is_over());
            let end = &duo.ends[0];
            let delivered = end.link.is_delivered();
            assert_eq!(end.has(Event::Finished), delivered, "{kind:?} grace {grace} s: {:?}", end.events);
            assert!(grace < 4 || delivered);
        }
    }
}

/// It waits at most ten seconds for the peer to know, too, and at most half the grace time.
#[test]
fn waiting_for_the_last_acknowledgement_is_bounded() {
    for (grace, most) in [(60, 10), (12, 6), (4, 2)] {
        let mut duo = alone_with_the_last_word(kind(1, false), Config { grace_us: grace * SECOND, ..config() });
        duo.run(most * SECOND - SECOND / 10);
        assert!(!duo.ends[0].is_over());
        duo.run(SECOND / 5);
        assert!(duo.ends[0].has(Event::Finished), "{:?}", duo.ends[0].events);
    }
}

/// Everything was delivered: whatever becomes of the peer then, nothing was lost.
#[test]
fn an_end_that_lingers_is_finished_by_any_end() {
    for kind in SOLE {
        // the peer's next session calls
        let mut duo = alone_with_the_last_word(kind, config());
        duo.run(4 * SECOND);
        duo.cut(false);
        duo.restart(13, b"the next");
        duo.until("an end", 61 * SECOND, |duo| duo.ends[0].is_over());
        assert!(duo.ends[0].has(Event::Finished), "{kind:?} restarted: {:?}", duo.ends[0].events);
        assert!(!duo.ends[1].has(Event::Finished) && duo.ends[1].read.is_empty());

        // the peer closes, and what it said before was lost
        let mut duo = alone_with_the_last_word(kind, config());
        duo.run(SECOND);
        duo.cut[1] = [false; 2];
        duo.ends[1].link.close(CloseCode::Interrupted);
        duo.until("an end", 61 * SECOND, |duo| duo.ends[0].is_over());
        assert!(duo.ends[0].has(Event::Finished), "{kind:?} closed: {:?}", duo.ends[0].events);

        // the host sleeps past all timers
        let mut duo = alone_with_the_last_word(kind, config());
        duo.run(SECOND);
        duo.ends[1].gone = true;
        duo.now = duo.now.after(10 * 60 * SECOND);
        duo.run(SECOND);
        assert!(duo.ends[0].has(Event::Finished), "{kind:?} asleep: {:?}", duo.ends[0].events);
    }
}

/// While something is missing on either side, each of these is a loss.
#[test]
fn an_end_with_something_missing_is_lost() {
    for kind in SOLE {
        for how in 0..3 {
            let mut duo = Duo::new(kind, config(), [b"from a", b"from b"]);
            duo.ends[1].confirms = false;
            duo.until("all is read", 5 * SECOND, |duo| duo.ends[0].link.at_end() && duo.ends[1].link.at_end());
            duo.run(2 * SECOND);
            match how {
                0 => {
                    duo.ends[1].gone = true;
                    duo.run(4 * SECOND);
                    duo.restart(13, b"the next");
                }
                1 => duo.ends[1].link.close(CloseCode::Interrupted),
                _ => duo.cut(true),
            }
            duo.until("an end", 70 * SECOND, |duo| duo.ends[0].is_over());
            let losses = [Loss::PeerRestarted, Loss::PeerClosed(CloseCode::Interrupted), Loss::Silence];
            assert_eq!(duo.ends[0].events.last(), Some(&Event::Lost(losses[how])), "{kind:?}");
        }
    }
}

/// What both ends know of a channel is told before the loss of the session is.
#[test]
fn a_channel_that_was_delivered_is_closed_by_the_end_of_its_session() {
    for kind in ALL.into_iter().filter(|kind| kind.channels) {
        let mut duo = Duo::new(kind, config(), [b"from a", b"from b"]);
        duo.ends[0].confirms = false;
        duo.until("b has all", 5 * SECOND, |duo| duo.ends[1].read == b"from a" && duo.ends[0].read == b"from b");
        duo.run(3 * SECOND);
        duo.cut(true);
        duo.ends[0].confirms = true;
        duo.until("an end", 70 * SECOND, |duo| duo.ends[0].is_over());
        let id = duo.ends[0].channel.expect("a channel");
        let last = &duo.ends[0].events[duo.ends[0].events.len() - 2..];
        assert_eq!(last, [Event::Closed(id), Event::Lost(Loss::Silence)], "{kind:?}");
    }
}

/// Two ends that are finished and are both served still fall silent.
#[test]
fn finished_ends_do_not_answer_each_other_for_ever() {
    for kind in SOLE {
        // in order; and after both have stopped waiting for each other
        for lingers in [false, true] {
            let mut duo = Duo::new(kind, config(), [b"from a", b"from b"]);
            if lingers {
                duo.ends.iter_mut().for_each(|end| end.confirms = false);
                duo.until("all is read", 5 * SECOND, |duo| duo.ends.iter().all(|end| end.link.at_end()));
                duo.run(SECOND);
                duo.ends.iter_mut().for_each(|end| end.confirms = true);
                // each DONE arrives, and no answer to it
                duo.until("done", SECOND, |duo| duo.ends.iter().all(|end| end.link.is_delivered()));
                duo.cut(true);
            }
            duo.until("finished", 20 * SECOND, |duo| duo.ends.iter().all(|end| end.has(Event::Finished)));
            duo.cut(false);
            let before = duo.frames;
            duo.run(20 * SECOND);
            let frames = [duo.frames[0] - before[0], duo.frames[1] - before[1]];
            assert!(frames.iter().all(|n| *n <= 8), "{kind:?} {lingers}: {frames:?}");
            assert!(duo.ends.iter().all(|end| end.link.poll_timeout().is_none()), "{kind:?}");
        }
    }
}

/// Random losses at the end of short sessions: nobody says anything behind the last event or before the first, and both
/// come to an end.
#[test]
fn short_sessions_end_well_whatever_is_lost() {
    for_seeds(400, |seed| {
        let mut random = Random::new(seed);
        let kind = SOLE[random.below(4) as usize];
        let text = [7; 100];
        let texts = [&text[..random.below(100) as usize], &text[..random.below(3) as usize]];
        let mut duo = Duo::new(kind, config(), texts);
        for _ in 0..60 {
            duo.run(random.below(30_000));
            duo.lose = [random.below(3) as u32, random.below(3) as u32];
        }
        duo.lose = [0; 2];
        duo.until("both ends", 100 * SECOND, |duo| duo.ends.iter().all(|end| end.is_over()));
        for (end, other) in [(0, 1), (1, 0)] {
            assert!(duo.ends[end].has(Event::Finished), "{kind:?} {}", duo.describe(end));
            assert_eq!(duo.ends[end].read, texts[other]);
        }
    });
}

// ---- the next peer ------------------------------------------------------------------------------

/// A peer whose stream was empty is started anew before it heard that; the next one has something to say.
#[test]
fn nobody_says_done_to_a_peer_whose_stream_it_has_not_read() {
    for kind in SOLE {
        for at in 0..40 {
            let mut duo = Duo::new(kind, config(), [b"", b""]);
            duo.until("b's end", 5 * SECOND, |duo| duo.ends[0].link.at_end());
            duo.cut(true);
            duo.ends[1].gone = true;
            duo.run(3_500_000 + at * 7_001);
            duo.cut(false);
            let text = [9; 8000];
            duo.restart(if at % 2 == 0 { 13 } else { 130 }, &text);
            for _ in 0..1000 {
                duo.run(5_000);
                let b = &duo.ends[1];
                let said = b.has(Event::Finished) || b.link.is_delivered() || b.link.is_sent();
                assert!(!said || duo.ends[0].read == text, "{kind:?} {at}: a {}\nb {}", duo.describe(0), duo.describe(1));
            }
        }
    }
}

/// A peer that died before it acknowledged anything is started anew: it gets everything from the beginning.
#[test]
fn the_next_peer_gets_all_of_the_stream() {
    for kind in SOLE {
        for at in 0..24 {
            let text: Vec<u8> = (0..6000u32).map(|i| ((i * 7) >> 3) as u8).collect();
            let mut duo = Duo::new(kind, config(), [&text, b""]);
            duo.ends[1].finishes = false;
            duo.until("it sends", 5 * SECOND, |duo| duo.ends[0].link.sent() > 0);
            duo.cut[1] = [true; 2];
            duo.run(at * 9_000);
            duo.ends[1].gone = true;
            duo.cut(true);
            duo.run(at % 5 * SECOND);
            duo.cut(false);
            duo.restart(13 + 70 * (at % 2), &text[..(at % 3) as usize]);
            duo.until("an end", 100 * SECOND, |duo| duo.ends[0].is_over());
            duo.run(20 * SECOND);
            if duo.ends[1].has(Event::Finished) {
                assert_eq!(duo.ends[1].read, text, "{kind:?} {at}");
            } else {
                assert!(!duo.ends[0].has(Event::Finished), "{kind:?} {at}");
            }
        }
    }
}

/// The end of an empty stream was acknowledged by a peer that died: the next one is told it, too.
#[test]
fn the_next_peer_is_told_of_an_empty_stream() {
    for kind in SOLE {
        let mut duo = Duo::new(kind, config(), [b"", b"hello"]);
        duo.ends[1].finishes = false;
        duo.ends[1].text.clear();
        duo.until("the end is acknowledged", 5 * SECOND, |duo| duo.ends[0].link.is_sent());
        duo.ends[1].gone = true;
        duo.run(4 * SECOND);
        duo.restart(13, b"hello");
        duo.until("both end", 20 * SECOND, |duo| duo.ends.iter().all(|end| end.is_over()));
        assert!(duo.ends.iter().all(|end| end.has(Event::Finished)), "{kind:?}");
        assert_eq!(duo.ends[0].read, b"hello");
    }
}

/// The end of a stream is the end: what the next peer says comes in no session that has told it.
#[test]
fn nothing_comes_behind_the_end_of_a_stream() {
    for kind in SOLE {
        for confirms in [false, true] {
            let mut duo = Duo::new(kind, config(), [b"", b""]);
            duo.ends[0].finishes = false;
            duo.ends[0].confirms = confirms;
            duo.until("b's end", 5 * SECOND, |duo| duo.ends[0].link.at_end());
            duo.run(SECOND);
            duo.ends[1].gone = true;
            duo.run(4 * SECOND);
            duo.restart(13, b"of the next session");
            duo.run(10 * SECOND);
            assert_eq!(duo.ends[0].events.last(), Some(&Event::Lost(Loss::PeerRestarted)), "{kind:?}");
        }
    }
}

/// Two paths stop waiting in the same moment: that is one end.
#[test]
fn a_bond_ends_once() {
    for kind in SOLE.into_iter().filter(|kind| kind.paths > 1) {
        let mut duo = Duo::new(kind, config(), [b"from a", b"from b"]);
        duo.ends[0].confirms = false;
        duo.until("all is read", 5 * SECOND, |duo| duo.ends.iter().all(|end| end.link.at_end()));
        duo.run(2 * SECOND);
        // heard, and not answered
        duo.cut[0] = [true; 2];
        duo.ends[0].confirms = true;
        duo.run(3 * SECOND);
        duo.now = duo.now.after(20 * SECOND);
        duo.run(SECOND);
        assert_eq!(duo.ends[0].events.iter().filter(|event| **event == Event::Finished).count(), 1, "{kind:?}");
        assert_eq!(duo.ends[0].events.last(), Some(&Event::Finished));
    }
}

// ---- silence ------------------------------------------------------------------------------------

/// So long after the wire is back both have heard of each other (µs).
const BACK: u64 = 600_000;

fn outage(kind: Kind, warm: u32, cut: [[bool; 2]; 2], us: u64, busy: bool, grain_us: u64) {
    let mut config = Config { grace_us: 1000 * 24 * HOUR, ..config() };
    if warm > 0 {
        (config.rate, config.payload_max) = (0, 1);
    }
    let text = vec![5; warm.max(10) as usize];
    let mut duo = Duo::new(kind, config, [&text, &text]);
    duo.ends.iter_mut().for_each(|end| end.finishes = false);
    duo.until("a beginning", 600 * SECOND, |duo| duo.ends.iter().all(|end| end.read.len() == text.len()));
    duo.run(3 * SECOND);
    duo.cut = cut;
    if busy {
        duo.ends.iter_mut().for_each(|end| end.text.extend([6; 5000]));
    }
    duo.run(SECOND.min(us / 2));
    duo.grain_us = grain_us;
    duo.run(us);
    duo.grain_us = 1;
    duo.cut(false);
    duo.ends.iter_mut().for_each(|end| end.text.extend(b"again"));
    let what = format!("{cut:?} for {} s, busy: {busy}, warm: {warm}", us / SECOND);
    let all = text.len() + if busy { 5005 } else { 5 };
    // what was under way takes its time
    let limit = BACK + if busy { 5 * SECOND } else { 0 };
    duo.until(&what, limit, |duo| duo.ends.iter().all(|end| end.read.len() == all));
    duo.until(&what, BACK, |duo| duo.ends.iter().all(|end| end.link.paths().iter().all(|path| path.is_up())));
    duo.ends.iter_mut().for_each(|end| end.finishes = true);
    let ended = |event: &Event| matches!(event, Event::Finished | Event::Closed(_));
    duo.until(&what, 2 * SECOND, |duo| duo.ends.iter().all(|end| end.events.iter().any(ended)));
}

const BOTH: [[bool; 2]; 2] = [[true; 2]; 2];
const CUTS: [[[bool; 2]; 2]; 5] =
    [BOTH, [[true; 2], [false; 2]], [[false; 2], [true; 2]], [[true, false], [true, false]], [[false; 2], [false, true]]];

/// However long a wire was away within the grace time, the session goes on, and soon.
#[test]
fn a_session_outlasts_any_outage() {
    let kinds: Vec<(Kind, usize)> = ALL.into_iter().flat_map(|kind| (0..CUTS.len()).map(move |cut| (kind, cut))).collect();
    for_seeds(kinds.len() as u64, |seed| {
        let (kind, cut) = kinds[seed as usize];
        for (seconds, busy) in [(1, seed % 2 == 0), (7, true), (61, seed % 2 == 0), (2_700, seed % 2 == 1)] {
            outage(kind, 0, CUTS[cut], seconds * SECOND, busy, 1);
        }
    });
}

/// Numbers that have been round once are told from each other only by what is near.
#[test]
fn a_long_session_outlasts_any_outage() {
    for_seeds(SOLE.len() as u64, |seed| outage(SOLE[seed as usize], 70_000, BOTH, 9_400 * SECOND, false, 1));
}

/// Thirty days, on hosts that look once a minute while nothing comes.
#[test]
fn a_session_outlasts_a_month() {
    for_seeds(2 * ALL.len() as u64, |seed| {
        outage(ALL[seed as usize / 2], 0, CUTS[seed as usize % 2], 30 * 24 * HOUR, seed % 2 == 1, 60 * SECOND);
    });
}

// ---- the beginning ------------------------------------------------------------------------------

/// A peer that was heard and has answered nothing is forgotten, in every kind of session: there is nothing to lose yet.
#[test]
fn a_peer_that_never_answered_is_forgotten() {
    for kind in ALL {
        let mut duo = Duo::new(kind, config(), [b"", b""]);
        // what a says goes nowhere: b calls and is heard, and is not answered
        duo.cut[0] = [true; 2];
        duo.run(10 * SECOND);
        duo.cut(true);
        duo.ends[1].gone = true;
        duo.run(200 * SECOND);
        assert!(!duo.ends[0].is_over(), "{kind:?} {:?}", duo.ends[0].events);
        assert_eq!(duo.ends[0].link.state(), State::Opening, "{kind:?}");
        duo.cut(false);
        duo.restart(13, b"");
        duo.until("it opens", 3 * SECOND, |duo| duo.ends.iter().all(|end| end.link.state() == State::Open));
    }
}

/// An end that greets calls with growing distances, and no more often than one that opens.
#[test]
fn greeting_backs_off() {
    let mut duo = Duo::new(kind(1, false), Config::for_baud(0), [b"", b""]);
    duo.cut[0] = [true; 2];
    duo.until("greeting", SECOND, |duo| duo.ends[0].link.state() == State::Greeting);
    let before = duo.frames[0];
    duo.ends[1].gone = true;
    duo.run(30 * SECOND);
    let calls = duo.frames[0] - before;
    assert!((100..130).contains(&calls), "{calls} calls in 30 s");
}
