//! Rules of PROTOCOL.md that no vector and no row of the state table shows.
#![allow(missing_docs)]

#[path = "common/alone.rs"]
mod alone;

use alone::{End, ME, PEER, close, data, segment};
use link::wire::segment::{Ack, Open, Rate, RateStep, VERSION, Writer};
use link::wire::{Binding, Head, Level, write_frame};
use link::{FRAME_MAX, State};

/// A segment of the peer's.
fn say(tx: u64, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    segment(Binding::of(PEER, ME), tx, fill)
}

fn ack_of(newest: u16, run: u16) -> Ack {
    Ack { newest, run, ..Ack::default() }
}

fn open_with(limit: u32, payload_max: u16) -> Vec<u8> {
    let open = Open { version: VERSION, answer: true, me: PEER, you: ME, limit, payload_max, features: 0 };
    segment(Binding::NONE, 0, |w| w.open(&open))
}

/// R3-8, R4.2-4: what belongs to a feature that was not announced is taken and does nothing.
#[test]
fn records_of_other_features_are_ignored() {
    let mut end = End::open();
    end.hear(&say(0, |w| w.begin(1, 1, 4096, b"console")));
    end.hear(&say(1, |w| w.data(1, 0, false, 3, |out| out.copy_from_slice(b"abc"))));
    end.hear(&say(2, |w| w.skip(7, 9)));
    end.wait(50_000);
    assert_eq!(end.said(), ["ACK 2"]);
    // these want no acknowledgement
    end.hear(&say(3, |w| w.join(7)));
    end.hear(&say(4, |w| w.rate(&Rate { step: RateStep::Propose, ..Rate::default() }, 0)));
    end.hear(&say(5, |w| w.ack(&ack_of(0, 1))));
    end.wait(500_000);
    assert!(end.said().is_empty());
    // but have arrived
    end.hear(&say(6, |w| w.ping()));
    assert_eq!((end.said(), end.link.readable(), end.link.state()), (vec!["ACK 6".into()], 0, State::Open));
}

/// R3.1-2, R3.1-5: the OPEN that makes a session open counts, and none behind it.
#[test]
fn a_later_open_changes_nothing() {
    let mut end = End::opening();
    end.hear(&open_with(10, 4));
    end.said();
    end.link.write(&[b'x'; 30]);
    assert_eq!(end.said(), ["DATA 4", "DATA 4", "DATA 2"]);
    end.hear(&open_with(4096, 4000));
    assert_eq!(end.said(), ["OPEN 5 6"]);
    end.hear(&say(0, |w| w.window(0, 14)));
    assert_eq!(end.said().last().unwrap(), "DATA 4");
}

/// R3.4-4, R4.2-2: what an ACK cannot mean is ignored, and what was acknowledged stays so.
#[test]
fn acknowledgements_that_make_no_sense_are_ignored() {
    let mut end = End::open();
    for _ in 0..3 {
        end.link.write(b"abc");
        assert_eq!(end.said(), ["DATA 3"]);
    }
    let queued = |end: &End| end.link.channels().map(|sole| sole.queued()).sum::<u64>();
    // never sent, never sent, below number 0
    for (tx, ack) in [(0, ack_of(3, 1)), (1, ack_of(40_000, 1)), (2, ack_of(1, 3))] {
        end.hear(&say(tx, |w| w.ack(&ack)));
        assert_eq!(queued(&end), 9, "{ack:?}");
    }
    end.hear(&say(3, |w| w.ack(&ack_of(1, 2))));
    assert_eq!(queued(&end), 3);
    // an older one, and one that names less
    end.hear(&say(4, |w| w.ack(&ack_of(0, 1))));
    end.hear(&say(5, |w| w.ack(&ack_of(2, 1))));
    assert_eq!((queued(&end), end.said()), (0, vec![]));
}

/// R3.3-3, R4.2-3: data that cannot be kept have not arrived, and the ACK beside them counts.
#[test]
fn the_ack_beside_data_that_cannot_be_kept_counts() {
    let mut end = End::open();
    end.link.write(b"abc");
    assert_eq!(end.said(), ["DATA 3"]);
    end.hear(&say(0, |w| w.data(0, 0, true, 3, |out| out.copy_from_slice(b"end"))));
    assert_eq!(end.said(), ["ACK 0"]);
    let beyond = |w: &mut Writer<'_>| w.data(0, 3, false, 1, |out| out[0] = b'!');
    let elsewhere = |w: &mut Writer<'_>| w.data(0, 0, true, 2, |out| out.copy_from_slice(b"en"));
    end.hear(&say(1, |w| {
        w.ack(&ack_of(0, 1));
        beyond(w);
    }));
    assert_eq!(end.link.channels().map(|sole| sole.queued()).sum::<u64>(), 0);
    end.hear(&say(2, elsewhere));
    end.hear(&say(3, |w| w.ping()));
    assert_eq!(end.said(), ["ACK 3"]);
    let mut read = [0; 8];
    assert_eq!((end.link.read(&mut read), &read[..3], end.link.at_end()), (3, &b"end"[..], true));
}

/// R2-3, R3-1: a plain end takes nothing that is sealed; a CLOSE of its session has number 0.
#[test]
fn a_plain_end_ignores_what_is_sealed() {
    let mut end = End::open();
    let mut wire = vec![0; FRAME_MAX];
    Writer::new(&mut wire[4..], 0).ping();
    let n = write_frame(&mut wire, Head { len: 23, level: Level::Plain, sealed: true }, Binding::NONE);
    end.hear(&wire[..n]);
    end.wait(50_000);
    assert!(end.said().is_empty());
    end.hear(&data(0));
    end.wait(2_000);
    assert_eq!((end.said(), end.link.readable()), (vec!["ACK 0".into()], 3));
    end.hear(&close(PEER, ME));
    assert_eq!(end.link.state(), State::Ended);
}
