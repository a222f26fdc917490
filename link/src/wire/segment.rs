//! Segments: the body of a frame (PROTOCOL 3).
//!
//! ```text
//! segment  tx number (2) | record | record ..
//! record   tag: kind (high four bits), argument (low four) | fields by kind
//!   1 OPEN    argument bit 0: answer wanted; version (1) | own id (8) | peer's id or 0 (8) | receive limit (3) | most payload (2) | features (2)
//!   2 CLOSE   version (1) | own id (8) | peer's id (8) | code (1)
//!   3 ACK     newest tx (2) | damage (2) | slips (1) | run (v) | argument times: gap (v), run (v)
//!   4 WINDOW  receive limit (3)
//!   5 DONE    -
//!   6 PING    -
//!   7 DATA    argument bit 0: end of stream; offset (3) | payload up to the end of the segment
//!  13 of a channel, argument 0 BEGIN: channel (v) | class (1) | receive limit (3) | length (1) | service
//!             1 ACCEPT: channel (v) | receive limit (3)   2 RESET: channel (v) | reason (1)
//!             3 WINDOW: channel (v) | receive limit (3)   4 DONE: channel (v)
//!             5 NOTE: channel (v) | kind (1) | value (4)
//!  14 DATA    of a channel: as 7, with channel (v) before the offset
//!  15 argument 0 PARTS: tx (2) | n (1) | n checks from the start (1 each) | n from the end
//!     1 FILL: tx (2) | place (2) | payload up to the end of the segment
//!     2 CALL, 3 ANSWER: version (1) | pattern (1) | the caller's id (8) | message up to the end of the segment
//!     4 RATE: step (1) | attempt (1) | rung (1) | rates (2) | index (1) | span (1) | good (1) | wrong (2) | slips (1) | padding up to the end of the segment
//!     5 JOIN: bond (8)   7 SKIP: token (4) | tx (2)
//! (v)      one byte below 128, else two: low 7 bits with the top bit set, then bits 7..14
//! ```

pub use super::record::*;
pub use super::writer::Writer;

/// The segment makes no sense: cut short, an unknown kind, or a field out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A checked segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Lowest 16 bits of the transmission number.
    pub tx: u16,
    records: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a body; every record is checked, so [`Segment::records`] cannot fail afterwards.
    pub fn parse(body: &'a [u8]) -> Result<Segment<'a>, Malformed> {
        Segment::check(body, |record, tx| match record {
            Record::Open(_) | Record::Close(_) | Record::Hello(_) if tx != 0 => Err(Malformed),
            Record::Open(_) | Record::Close(_) | Record::Hello(_) => Ok(Place::Alone),
            _ => Ok(Place::Any),
        })
    }
    /// Reads what was sealed: OPEN, CALL and ANSWER have no place in it, and CLOSE has a number.
    pub fn parse_sealed(body: &'a [u8]) -> Result<Segment<'a>, Malformed> {
        Segment::check(body, |record, _| match record {
            Record::Open(_) | Record::Hello(_) => Err(Malformed),
            Record::Close(_) => Ok(Place::Alone),
            _ => Ok(Place::Any),
        })
    }

    fn check(body: &'a [u8], place: impl Fn(&Record<'_>, u16) -> Result<Place, Malformed>) -> Result<Segment<'a>, Malformed> {
        let mut reader = Reader(body);
        let tx = reader.u16()?;
        let records = reader.0;
        if records.is_empty() {
            return Err(Malformed);
        }
        let mut count = 0;
        while !reader.0.is_empty() {
            let record = reader.record()?;
            if matches!(place(&record, tx)?, Place::Alone) && (count > 0 || !reader.0.is_empty()) {
                return Err(Malformed);
            }
            count += 1;
        }
        Ok(Segment { tx, records })
    }

    /// The number of an unverified body, and where the payload of its DATA begins; none where
    /// something else makes no sense before.
    pub fn payload_at(body: &[u8]) -> Option<(u16, usize)> {
        let mut reader = Reader(body);
        let tx = reader.u16().ok()?;
        loop {
            match reader.record().ok()? {
                Record::Data { payload, .. } => return Some((tx, body.len() - payload.len())),
                Record::Ack(_) | Record::Window { .. } | Record::Done { .. } | Record::Parts(_) => {}
                Record::Join { .. } => {}
                _ => return None,
            }
        }
    }

    /// Whether it begins or ends a session, and so stands in a frame that is of none (PROTOCOL 3).
    pub fn is_of_no_session(&self) -> bool {
        matches!(self.records().next(), Some(Record::Open(_) | Record::Close(_) | Record::Hello(_)))
    }

    /// What it says, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut reader = Reader(self.records);
        core::iter::from_fn(move || if reader.0.is_empty() { None } else { reader.record().ok() })
    }
}

/// Where a record may stand.
enum Place {
    Any,
    Alone,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }
    fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|[b]| b)
    }
    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }
    fn u24(&mut self) -> Result<u32, Malformed> {
        self.take::<3>().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }
    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }
    /// A count: (v), not 0.
    fn count(&mut self) -> Result<u16, Malformed> {
        let low = self.u8()?;
        if low < 0x80 {
            return if low == 0 { Err(Malformed) } else { Ok(u16::from(low)) };
        }
        let n = u16::from(low & 0x7F) | (u16::from(self.u8()?) << 7);
        if n < 0x80 { Err(Malformed) } else { Ok(n) }
    }

    fn record(&mut self) -> Result<Record<'a>, Malformed> {
        let tag = self.u8()?;
        let argument = tag & 0x0F;
        match (tag >> 4, argument) {
            (1, 0 | 1) => self.open(argument == 1).map(Record::Open),
            (2, 0) => {
                let (version, me, you) = (self.u8()?, self.u64()?, self.u64()?);
                let code = CloseCode::from_wire(self.u8()?);
                if version != VERSION {
                    self.0 = &[];
                }
                if me == 0 { Err(Malformed) } else { Ok(Record::Close(Close { version, me, you, code })) }
            }
            (3, pairs) => self.ack(pairs).map(Record::Ack),
            (4, 0) => Ok(Record::Window { channel: 0, limit: self.u24()? }),
            (5, 0) => Ok(Record::Done { channel: 0 }),
            (6, 0) => Ok(Record::Ping),
            (7, 0 | 1) => self.data(0, argument == 1),
            (13, 0) => self.begin().map(Record::Begin),
            (13, 1) => Ok(Record::Accept { channel: self.count()?, limit: self.u24()? }),
            (13, 2) => Ok(Record::Reset { channel: self.count()?, reason: self.u8()? }),
            (13, 3) => Ok(Record::Window { channel: self.count()?, limit: self.u24()? }),
            (13, 4) => Ok(Record::Done { channel: self.count()? }),
            (13, 5) => {
                let (channel, kind) = (self.count()?, self.u8()?);
                Ok(Record::Note { channel, kind, value: self.u32()? })
            }
            (14, 0 | 1) => {
                let channel = self.count()?;
                self.data(channel, argument == 1)
            }
            (15, 0) => self.parts().map(Record::Parts),
            (15, 1) => {
                let (tx, from) = (self.u16()?, self.u16()?);
                let payload = core::mem::take(&mut self.0);
                if payload.is_empty() { Err(Malformed) } else { Ok(Record::Fill { tx, from, payload }) }
            }
            (15, 2 | 3) => self.hello(argument == 3).map(Record::Hello),
            (15, 4) => self.rate().map(Record::Rate),
            (15, 5) => match self.u64()? {
                0 => Err(Malformed),
                bond => Ok(Record::Join { bond }),
            },
            (15, 7) => Ok(Record::Skip { token: self.u32()?, tx: self.u16()? }),
            _ => Err(Malformed),
        }
    }

    fn hello(&mut self, answer: bool) -> Result<Hello<'a>, Malformed> {
        let (version, pattern, caller) = (self.u8()?, self.u8()?, self.u64()?);
        let message = core::mem::take(&mut self.0);
        if caller == 0 || message.is_empty() || message.len() > MESSAGE_MAX {
            return Err(Malformed);
        }
        Ok(Hello { answer, version, pattern, caller, message })
    }

    fn rate(&mut self) -> Result<Rate<'a>, Malformed> {
        Ok(Rate {
            step: RateStep::from_wire(self.u8()?).ok_or(Malformed)?,
            attempt: self.u8()?,
            rung: self.u8()?,
            rates: self.u16()?,
            index: self.u8()?,
            span: self.u8()?,
            good: self.u8()?,
            wrong: self.u16()?,
            slips: self.u8()?,
            padding: core::mem::take(&mut self.0),
        })
    }

    fn parts(&mut self) -> Result<Parts, Malformed> {
        let (tx, n) = (self.u16()?, usize::from(self.u8()?));
        let mut checks = || {
            let (these, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
            self.0 = rest;
            heapless::Vec::from_slice(these).map_err(|_| Malformed)
        };
        Ok(Parts { tx, from_start: checks()?, from_end: checks()? })
    }

    fn data(&mut self, channel: u16, fin: bool) -> Result<Record<'a>, Malformed> {
        let offset = self.u24()?;
        let payload = core::mem::take(&mut self.0);
        if payload.is_empty() && !fin { Err(Malformed) } else { Ok(Record::Data { channel, offset, fin, payload }) }
    }

    fn begin(&mut self) -> Result<Begin<'a>, Malformed> {
        let (channel, class, limit, len) = (self.count()?, self.u8()?, self.u24()?, usize::from(self.u8()?));
        if len == 0 || len > SERVICE_MAX {
            return Err(Malformed);
        }
        let (service, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Begin { channel, class, limit, service })
    }

    fn open(&mut self, answer: bool) -> Result<Open, Malformed> {
        let (version, me, you) = (self.u8()?, self.u64()?, self.u64()?);
        let open = if version == VERSION {
            Open { version, answer, me, you, limit: self.u24()?, payload_max: self.u16()?, features: self.u16()? }
        } else {
            // of another version only the beginning is known
            self.0 = &[];
            Open { version, answer, me, you, limit: 0, payload_max: 1, features: 0 }
        };
        if open.me == 0 || open.payload_max == 0 { Err(Malformed) } else { Ok(open) }
    }

    fn ack(&mut self, pairs: u8) -> Result<Ack, Malformed> {
        let mut ack =
            Ack { newest: self.u16()?, damage: self.u16()?, slips: self.u8()?, run: self.count()?, pairs: heapless::Vec::new() };
        for _ in 0..pairs {
            let pair = (self.count()?, self.count()?);
            ack.pairs.push(pair).map_err(|_| Malformed)?;
        }
        Ok(ack)
    }
}
