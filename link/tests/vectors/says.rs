//! Segments as text.

use std::fmt::Write;

use link::wire::Segment;
use link::wire::segment::{Record, VERSION};

use super::hex;

/// A segment as text, as `fixtures/README.md` has it.
pub(super) fn says(body: &[u8]) -> String {
    Segment::parse(body).map_or_else(|_| "malformed".into(), |segment| words(&segment))
}

/// A segment that was sealed: CLOSE has a number in it, and OPEN has no place.
pub(super) fn says_sealed(body: &[u8]) -> String {
    Segment::parse_sealed(body).map_or_else(|_| "malformed".into(), |segment| words(&segment))
}

fn words(segment: &Segment<'_>) -> String {
    let mut text = format!("tx={}", segment.tx);
    for record in segment.records() {
        match record {
            Record::Open(o) if o.version != VERSION => {
                write!(text, " OPEN answer={} version={} me={} you={}", u8::from(o.answer), o.version, o.me, o.you)
            }
            Record::Open(o) => write!(
                text,
                " OPEN answer={} version={} me={} you={} limit={} payload={} features={}",
                u8::from(o.answer),
                o.version,
                o.me,
                o.you,
                o.limit,
                o.payload_max,
                o.features
            ),
            Record::Close(c) => write!(text, " CLOSE version={} me={} you={} code={}", c.version, c.me, c.you, c.code.to_wire()),
            Record::Hello(h) => {
                let what = if h.answer { "ANSWER" } else { "CALL" };
                write!(text, " {what} version={} pattern={} caller={} message={}", h.version, h.pattern, h.caller, hex(h.message))
            }
            Record::Ack(a) => {
                let pairs: String = a.pairs.iter().map(|(gap, run)| format!(" gap={gap} run={run}")).collect();
                write!(text, " ACK newest={} damage={} slips={} run={}{pairs}", a.newest, a.damage, a.slips, a.run)
            }
            Record::Begin(b) => {
                let name = std::str::from_utf8(b.service).unwrap();
                let mut parts = name.split('\0');
                write!(
                    text,
                    " BEGIN channel={} class={} limit={} service={}",
                    b.channel,
                    b.class,
                    b.limit,
                    parts.next().unwrap()
                )
                .unwrap();
                for (what, part) in ["terminal", "size"].into_iter().zip(parts) {
                    write!(text, " {what}={part}").unwrap();
                }
                Ok(())
            }
            Record::Accept { channel, limit } => write!(text, " ACCEPT channel={channel} limit={limit}"),
            Record::Parts(p) => {
                write!(text, " PARTS of={} start={} end={}", p.tx, hex(&p.from_start), hex(&p.from_end))
            }
            Record::Fill { tx, from, payload } => write!(text, " FILL of={tx} from={from} payload={}", hex(payload)),
            Record::Rate(r) => write!(
                text,
                " RATE step={} attempt={} rung={} rates={} index={} span={} good={} wrong={} slips={} padding={}",
                r.step.to_wire(),
                r.attempt,
                r.rung,
                r.rates,
                r.index,
                r.span,
                r.good,
                r.wrong,
                r.slips,
                hex(r.padding)
            ),
            Record::Note { channel, kind, value } => write!(text, " NOTE channel={channel} kind={kind} value={value}"),
            Record::Reset { channel, reason } => write!(text, " RESET channel={channel} reason={reason}"),
            Record::Window { channel: 0, limit } => write!(text, " WINDOW limit={limit}"),
            Record::Window { channel, limit } => write!(text, " WINDOW channel={channel} limit={limit}"),
            Record::Done { channel: 0 } => write!(text, " DONE"),
            Record::Done { channel } => write!(text, " DONE channel={channel}"),
            Record::Join { bond } => write!(text, " JOIN bond={bond}"),
            Record::Skip { token, tx } => write!(text, " SKIP token={token} to={tx}"),
            Record::Ping => write!(text, " PING"),
            Record::Data { channel, offset, fin, payload } => {
                let channel = if channel == 0 { String::new() } else { format!(" channel={channel}") };
                write!(text, " DATA{channel} offset={offset} end={} payload={}", u8::from(fin), hex(payload))
            }
        }
        .unwrap();
    }
    text
}
